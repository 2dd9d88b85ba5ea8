"""What `POST /train` accepts does train: one run of each family, and what `preset=auto` comes to where it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from tests.fixtures.runs import Harness
from worker.jobs.exit_codes import ExitCode
from worker.settings import WorkerSettings
from worker.training.attempt import attempt_run

BRIEF: dict[str, Any] = {"batch_size": 2, "snapshots": 1, "tick_kimg": 0.008}
NARROW: dict[str, dict[str, Any]] = {
    "mlp-leaky": {"generator.network.hidden": [16], "discriminator.network.hidden": [16], "conditional": True},
    "wgan-gp": {"generator.network.widths": [8, 4], "discriminator.network.widths": [4, 8]},
    "quick-28": {"generator.network.widths": [8], "discriminator.network.widths": [8, 8]},
    "r3gan-28": {"generator.network.widths": [8, 8, 8], "discriminator.network.widths": [8, 8, 8]},
}


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """Put back what a training sets in torch."""
    threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photos(harness: Harness) -> str:
    """Return a folder of coloured noise in two classes: too few images to be evaluated, which would take longest."""
    for n in range(3):
        place = harness.app_state.settings.images_dir / "noise" / f"class {n % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(n).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{n}.png")
    return "folder:noise"


def started(harness: Harness, run_id: str) -> ExitCode:
    """Let a worker on one thread of the CPU take the run to its end."""
    run = harness.claim(run_id)
    settings = WorkerSettings(data_dir=harness.app_state.settings.data_dir, device="cpu", threads=1)
    code = attempt_run(run.id, run.token, settings, lambda: False)
    harness.app_state.records.release_run(run.claim, "succeeded" if code is ExitCode.COMPLETED else "failed")
    return code


def logged(harness: Harness, run_id: str) -> list[str]:
    events = read_events(harness.app_state.settings.runs_dir / run_id)
    return [event.data["message"] for event in events if event.type == "log"]


@pytest.mark.parametrize("preset", NARROW)
def test_accepted_run_of_each_family_trains_to_its_end(harness: Harness, photos: str, preset: str) -> None:
    request = {
        "preset": preset,
        "dataset": photos,
        "epochs": None,
        "kimg": 0.016,
        "overrides": {**BRIEF, **NARROW[preset]},
    }
    assert started(harness, harness.train(model=preset, **request)) is ExitCode.COMPLETED


def test_auto_is_decided_at_the_first_start_and_holds_from_then_on(harness: Harness, photos: str) -> None:
    few = {"snapshots": 1, "tick_kimg": 0.008}
    run_id = harness.train(preset="auto", dataset=photos, epochs=None, kimg=0.016, overrides=few)
    assert harness.read(run_id)["resolved"] == {}
    assert started(harness, run_id) is ExitCode.COMPLETED
    run = harness.read(run_id)
    resolved = run["resolved"]
    assert (run["preset"], run["model"], resolved["preset"]) == ("auto", "noise", "photos-32")
    assert (resolved["config"]["size"], resolved["config"]["batch_size"]) == (32, 2)
    assert resolved["config"]["augment"]["control"] == "constant"
    assert [line for line in logged(harness, run_id) if line in resolved["reasons"]] == resolved["reasons"]
    row = harness.app_state.records.get_run(run_id)
    assert row is not None
    assert row.config == resolved["config"]
    assert (
        json.loads(Attempt(harness.app_state.settings.runs_dir / run_id, 1).config.read_text())["config"]
        == resolved["config"]
    )

    longer = harness.http.post(f"/train/{run_id}/resume", json={"kimg": 0.032})
    assert longer.status_code == 202, longer.text
    assert started(harness, run_id) is ExitCode.COMPLETED
    again = harness.read(run_id)
    assert again["progress"]["kimg"] == 0.032
    kept = ("preset", "reasons", "config", "batch_size")
    assert {name: again["resolved"][name] for name in kept} == {name: resolved[name] for name in kept}
    assert logged(harness, run_id).count(resolved["reasons"][0]) == 1


def test_auto_run_that_has_not_started_takes_no_other_length(harness: Harness) -> None:
    run_id = harness.train(preset="auto", epochs=None)
    harness.http.post(f"/train/{run_id}/pause")
    answer = harness.http.post(f"/train/{run_id}/resume", json={"kimg": 1})
    assert answer.status_code == 422
    assert "chooses its length when it starts" in answer.json()["detail"]
    assert harness.http.post(f"/train/{run_id}/resume").json()["state"] == "queued"


def test_auto_fails_with_the_reason_where_the_images_are_gone_when_it_starts(harness: Harness) -> None:
    folder = harness.app_state.settings.images_dir / "going"
    folder.mkdir()
    for n in range(4):
        Image.new("RGB", (40, 40)).save(folder / f"{n}.png")
    run_id = harness.train(preset="auto", dataset="folder:going", epochs=None)
    for file in folder.iterdir():
        file.unlink()
    assert started(harness, run_id) is ExitCode.REFUSED
    reason = json.loads((Attempt(harness.app_state.settings.runs_dir / run_id, 1).dir / "failure.json").read_text())[
        "reason"
    ]
    assert "nothing can be chosen for folder:going" in reason
    assert "there is no image file" in reason
