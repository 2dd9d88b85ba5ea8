"""Runs that find too little memory: cut at the first round, cut later, and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.config.resolved import ResolvedRow
from models.records import Run
from tests.fixtures.trainings import Harness, working_house
from tests.worker.training.tiny import tiny
from worker.jobs.exit_codes import ExitCode
from worker.training import trainer
from worker.training.setup import new_state
from worker.training.state.state import TrainingState

Room = Callable[[int], bool]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


def give_room(monkeypatch: pytest.MonkeyPatch, has_room: Room) -> None:
    """Let the discriminator ask for more memory than there is wherever `has_room` is not for so many images."""

    def ask(_module: object, inputs: tuple[Tensor, ...]) -> None:
        if not has_room(len(inputs[0])):
            torch.empty(1 << 60, dtype=torch.uint8)

    def small(*arguments: Any) -> TrainingState:
        state = new_state(*arguments)
        state.modules["discriminator"].register_forward_pre_hook(ask)
        return state

    monkeypatch.setattr(trainer, "new_state", small)


def resolved(harness: Harness, run: Run) -> ResolvedRow:
    row = harness.records.get_run(run.id)
    assert row is not None
    return row.resolved


def test_a_run_that_does_not_fit_is_cut_before_it_begins_and_says_so(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_room(monkeypatch, lambda images: images <= 17)
    run = harness.create(tiny(kimg=1))
    assert harness.train(run) == ExitCode.COMPLETED
    assert (resolved(harness, run)["accumulate"], resolved(harness, run)["batch_size"]) == (4, 32)
    (messages,) = [line for line in harness.messages(run) if "memory" in line]
    assert "has not enough memory for 32 images at a time: the run takes 8 at a time from here on" in messages
    assert messages.endswith("a step is still made of 32 images")


def test_a_run_that_finds_no_memory_later_goes_on_in_slices_from_its_checkpoint(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.create(tiny(kimg=12))
    give_room(monkeypatch, lambda images: images <= 32 or not any(harness.attempt(run).checkpoints.glob("[0-9]*")))
    assert harness.train(run) == ExitCode.STOPPED
    assert resolved(harness, run)["accumulate"] == 2
    assert "16 at a time from its newest checkpoint on (" in harness.messages(run)[-1]
    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    (resumed,) = [line for line in harness.messages(run) if line.startswith("resumed from 1/")]
    assert "accumulate was 1 and is 2" in resumed


def test_a_run_with_room_for_no_image_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    give_room(monkeypatch, lambda _images: False)
    run = harness.create(tiny(kimg=1))
    assert harness.train(run) == ExitCode.REFUSED
    assert harness.reason(run).startswith("cpu has not enough memory for 1 image(s) at a time")
