"""Runs that find too little memory: cut at the first round, cut later, and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.records import Run
from tests.fixtures.trainings import House, working_house
from tests.worker.training.tiny import tiny
from worker.exitcodes import ExitCode
from worker.training import attempt
from worker.training.assembly import new_state
from worker.training.state import TrainingState

Room = Callable[[int], bool]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    yield from working_house(tmp_path)


def give_room(monkeypatch: pytest.MonkeyPatch, has_room: Room) -> None:
    """Let the discriminator ask for more memory than there is wherever `has_room` is not for so many images."""

    def ask(_module: object, inputs: tuple[Tensor, ...]) -> None:
        if not has_room(len(inputs[0])):
            torch.empty(1 << 60, dtype=torch.uint8)

    def small(*arguments: Any) -> TrainingState:
        state = new_state(*arguments)
        state.discriminator.register_forward_pre_hook(ask)
        return state

    monkeypatch.setattr(attempt, "new_state", small)


def resolved(house: House, run: Run) -> dict[str, Any]:
    row = house.records.get_run(run.id)
    assert row is not None
    return row.resolved


def test_a_run_that_does_not_fit_is_cut_before_it_begins_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_room(monkeypatch, lambda images: images <= 17)
    run = house.create(tiny(kimg=1))
    assert house.train(run) == ExitCode.COMPLETED
    assert (resolved(house, run)["accumulate"], resolved(house, run)["batch_size"]) == (4, 32)
    (told,) = [line for line in house.told(run) if "memory" in line]
    assert "has not the memory for 32 images at a time: the run takes 8 at a time from here on" in told
    assert told.endswith("a step is still made of 32 images")


def test_a_run_that_finds_no_memory_later_goes_on_in_slices_from_its_checkpoint(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.create(tiny(kimg=12))
    give_room(monkeypatch, lambda images: images <= 32 or not any(house.attempt(run).checkpoints.glob("[0-9]*")))
    assert house.train(run) == ExitCode.STOPPED
    assert resolved(house, run)["accumulate"] == 2
    assert "16 at a time from its newest checkpoint on (" in house.told(run)[-1]
    run = house.again(run)
    assert house.train(run) == ExitCode.COMPLETED
    (resumed,) = [line for line in house.told(run) if line.startswith("resumed from 1/")]
    assert "accumulate was 1 and is 2" in resumed


def test_a_run_with_room_for_no_image_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    give_room(monkeypatch, lambda _images: False)
    run = house.create(tiny(kimg=1))
    assert house.train(run) == ExitCode.REFUSED
    assert house.reason(run).startswith("cpu has not the memory for 1 image(s) at a time")
