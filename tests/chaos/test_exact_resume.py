"""Trainings of 2,000 updates, killed at three random moments: their last weights are those of one never killed."""

from __future__ import annotations

import logging
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.artifacts.history import last_tick, list_snapshots, read_ticks
from models.config.training import TrainingConfig
from models.records import Run
from tests.fixtures.trainings import Harness, working_house
from tests.fixtures.waiting import until
from tests.worker.training.tiny import PROJECTED, tiny
from worker.jobs.exit_codes import ExitCode

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

logger = logging.getLogger(__name__)

UPDATES = 2000
KILLS = 3
OFTEN = 0.002  # minutes from one checkpoint to the next
TIMED = ("time", "images_per_second", "eta_seconds")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


def kill_at_random(harness: Harness, run: Run, total: int, dice: random.Random) -> None:
    """Train until some way into what is left, then kill; a run that was faster than the blow has ended."""
    process = harness.start(run)
    before = (last_tick(harness.run_dir(run)) or {"images": 0})["images"]
    moment = before + dice.random() * 0.6 * (total - before)

    def is_reached() -> bool:
        tick = last_tick(harness.run_dir(run))
        return process.poll() is not None or (tick is not None and tick["images"] > max(moment, before))

    until(is_reached, f"{moment:.0f} images", 120)
    time.sleep(dice.random() * 0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, f"it ended before the blow: {harness.log(run).read_text()}"


def history(harness: Harness, run: Run) -> list[dict[str, Any]]:
    ticks = read_ticks(harness.run_dir(run))
    return [{name: value for name, value in tick.items() if name not in TIMED} for tick in ticks]


def assert_killed_run_ends_like_a_calm_one(harness: Harness, config: TrainingConfig) -> Run:
    calm = harness.create(config)
    assert harness.start(calm).wait(280) == ExitCode.COMPLETED, harness.log(calm).read_text()
    harness.records.release_run(calm.claim, "succeeded")

    seed = random.randrange(1000)
    logger.warning("the dice's seed is %d", seed)
    dice = random.Random(seed)
    run = harness.create(config)
    for _ in range(KILLS):
        kill_at_random(harness, run, config.total_images(6000), dice)
        run = harness.again(run)
    assert harness.start(run).wait(280) == ExitCode.COMPLETED, harness.log(run).read_text()
    assert any(line.startswith("resumed from ") for line in harness.messages(run))
    assert not any("not exact" in line for line in harness.messages(run))
    assert harness.published(run)[-1] == harness.published(calm)[-1]
    assert history(harness, run) == history(harness, calm)
    positions = [[found.images for found in list_snapshots(harness.run_dir(of))] for of in (run, calm)]
    assert positions[0] == positions[1]
    return run


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", ["mlp-mnist", "dcgan-28"])
def test_a_killed_training_ends_in_the_same_bytes(harness: Harness, preset: str, precision: str) -> None:
    batch = tiny(preset).batch_size
    kimg = UPDATES * batch / 1000
    config = tiny(preset, kimg=kimg, precision=precision, checkpoint_minutes=OFTEN, tick_kimg=kimg / 100)
    assert config.discriminator.network.family == preset.split("-")[0]
    assert_killed_run_ends_like_a_calm_one(harness, config)


def test_a_killed_training_with_a_projected_discriminator_ends_in_the_same_bytes(harness: Harness) -> None:
    config = tiny("quick-28", kimg=6, tick_kimg=0.06, checkpoint_minutes=OFTEN, **PROJECTED)
    assert_killed_run_ends_like_a_calm_one(harness, config)


def test_a_killed_training_that_the_guard_took_back_ends_in_the_same_bytes(harness: Harness) -> None:
    rates = {"generator__lr": 1.0, "discriminator__lr": 1.0}
    config = tiny("r3gan-32", kimg=1.2, tick_kimg=0.04, snapshots=3, checkpoint_minutes=OFTEN, **rates)
    run = assert_killed_run_ends_like_a_calm_one(harness, config)
    assert history(harness, run)[-1]["rollbacks"] >= 1
