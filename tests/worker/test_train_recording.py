"""Runs whose rounds are to be recorded or compiled, and cannot be; a GPU's part is played by the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.config.resolved import ResolvedRow
from models.records import Run
from tests.fixtures.trainings import Harness, working_house
from tests.worker.training.tiny import tiny
from worker.jobs.exit_codes import ExitCode
from worker.training import build, resolution, trainer
from worker.training.devices.allocator import OutOfMemory
from worker.training.devices.graphs import Unrecordable
from worker.training.rounds import run_updates


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


def record(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> list[int]:
    """Let rounds be recorded on a CPU too, until that fails after 80 of them; give which recorders there were."""
    made: list[int] = []

    class GraphRunner:
        def __init__(self, *_arguments: Any) -> None:
            made.append(0)

        def __call__(self, *arguments: Any, **settings: Any) -> None:
            made[-1] += 1
            if made[-1] > 80:
                raise failure
            run_updates(*arguments, **settings)

    monkeypatch.setattr(resolution, "choose_recorded", lambda _config, _device: True)
    monkeypatch.setattr(build, "GraphRunner", GraphRunner)
    return made


def resolved(harness: Harness, run: Run) -> ResolvedRow:
    row = harness.records.get_run(run.id)
    assert row is not None
    return row.resolved


@pytest.mark.parametrize("failure", [Unrecordable("not permitted"), OutOfMemory("not permitted")])
def test_a_run_whose_rounds_cannot_be_recorded_goes_on_without_from_its_checkpoint(
    failure: Exception, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded holds memory, so that it is the first to go where there is none."""
    recorders = record(monkeypatch, failure)
    run = harness.create(tiny(kimg=6))
    assert harness.train(run) == ExitCode.STOPPED
    assert resolved(harness, run).items() >= {"recorded": False, "accumulate": 1}.items()
    line = "rounds are no longer recorded as CUDA graphs, but run eagerly from the newest checkpoint on: not permitted"
    assert harness.messages(run)[-1] == line
    assert any(harness.attempt(run).checkpoints.iterdir())
    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    assert recorders == [81]
    (resumed,) = [line for line in harness.messages(run) if line.startswith("resumed from 1/")]
    assert "recorded was True and is False" in resumed


def test_what_could_not_be_compiled_is_not_called_compiled(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "choose_compiled", lambda _config, _device: True)
    monkeypatch.setattr(trainer, "compile_networks", lambda *_arguments: False)
    run = harness.create(tiny(kimg=1))
    assert harness.train(run) == ExitCode.COMPLETED
    assert resolved(harness, run)["compiled"] is False
