from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from models.artifacts.attempts import Attempt, Position, list_attempts
from tests.worker.training.kept import State, keep, names
from worker.jobs.exit_codes import disk_full
from worker.training.state import manager as keeping
from worker.training.state.checkpoints import newest_valid, write
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import StateCopy


def after(attempt: Attempt) -> Attempt:
    """Begin the next attempt."""
    made = Attempt(attempt.dir.parent, attempt.token + 1)
    made.create()
    return made


def everything(attempt: Attempt) -> dict[str, list[str]]:
    """List what a run's attempts hold; those that hold nothing are left out."""
    found = {
        f"{each.token}/{folder.name}": names(folder)
        for each in list_attempts(attempt.dir.parent)
        for folder in (each.checkpoints, each.rollback_checkpoints)
    }
    return {name: kept for name, kept in found.items() if kept}


@contextmanager
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the disk do nothing inside, and list what is written after."""
    free, written = Event(), []

    def wait(folder: Path, copy: StateCopy, facts: dict[str, Any]) -> Path:
        assert free.wait(60)
        written.append(f"{folder.name}/{copy.position.name}")
        return write(folder, copy, facts)

    monkeypatch.setattr(keeping, "write", wait)
    try:
        yield written
    finally:
        free.set()


def test_the_newest_two_are_kept(attempt: Attempt) -> None:
    keep(attempt, 1000, 2000, 3000, 12000)
    assert names(attempt.checkpoints) == ["000003.000", "000012.000"]


def test_a_run_keeps_no_more_for_having_taken_many_attempts(attempt: Attempt) -> None:
    for token in range(1, 5):
        checkpoints = CheckpointManager(attempt, {})
        checkpoints.save_rollback_checkpoint(State(token * 1000, rollback_target=token * 1000))
        checkpoints.save(State(token * 1000 + 500, rollback_target=token * 1000))
        checkpoints.wait()
        (attempt.checkpoints / ".writing-000009.000").mkdir()
        (attempt.rollback_checkpoints / ".writing-000009.000").mkdir()
        attempt = after(attempt)
    keep(attempt, 8000)
    assert everything(attempt) == {
        "4/checkpoints": ["000004.500"],
        "4/best": ["000004.000"],
        "5/checkpoints": ["000008.000"],
    }


def test_what_earlier_attempts_left_is_not_touched_before_there_is_a_checkpoint(attempt: Attempt) -> None:
    keep(attempt, 1000, 2000)
    (attempt.checkpoints / ".writing-000003.000").mkdir()
    before = everything(attempt)
    second = after(attempt)
    checkpoints = CheckpointManager(second, {})
    checkpoints.save_rollback_checkpoint(State(0))
    checkpoints.save(State(2500, torch.nan))
    checkpoints.wait()
    assert everything(attempt) == {**before, "2/best": ["000000.000"]}


def test_nothing_is_dropped_once_there_is_a_later_attempt(attempt: Attempt) -> None:
    keep(attempt, 1000, 2000)
    after(attempt)
    keep(attempt, 3000, 4000)
    assert names(attempt.checkpoints) == ["000001.000", "000002.000", "000003.000", "000004.000"]


def test_a_state_that_diverged_never_replaces_a_good_checkpoint(attempt: Attempt) -> None:
    checkpoints = CheckpointManager(attempt, {})
    for state in (State(1000), State(2000, torch.nan), State(1000, rollbacks=1, rollback_target=1000)):
        checkpoints.save(state)
        checkpoints.save_rollback_checkpoint(state)
    checkpoints.wait()
    assert names(attempt.checkpoints) == ["000001.000", "000001.000-1"]
    assert names(attempt.rollback_checkpoints) == ["000001.000-1"]


def test_after_a_rollback_fewer_images_are_newer(attempt: Attempt) -> None:
    keep(attempt, 9000, 12000)
    checkpoints = CheckpointManager(attempt, {})
    checkpoints.save(State(4000, rollbacks=1))
    checkpoints.wait()
    assert names(attempt.checkpoints) == ["000004.000-1", "000012.000"]
    newest = newest_valid(attempt.dir.parent, pytest.fail)
    assert newest is not None
    assert newest.images == 4000


def test_what_a_kept_checkpoint_would_go_back_to_is_kept_too(attempt: Attempt) -> None:
    checkpoints = CheckpointManager(attempt, {})
    checkpoints.save_rollback_checkpoint(State(0))
    for images in (1000, 2000, 3000):
        checkpoints.save_rollback_checkpoint(State(images, rollback_target=images))
        checkpoints.save(State(images + 500, rollback_target=images))
    checkpoints.save_rollback_checkpoint(State(4000, rollback_target=4000))
    checkpoints.wait()
    assert everything(attempt) == {
        "1/checkpoints": ["000003.500", "000004.000"],
        "1/best": ["000003.000", "000004.000"],
    }
    found = checkpoints.read_rollback_checkpoint(Position(0, 3000), pytest.fail)
    assert found is not None
    assert found.images == 3000


def test_a_rollback_checkpoint_is_a_checkpoint_of_the_same_files(attempt: Attempt) -> None:
    checkpoints = CheckpointManager(attempt, {})
    checkpoints.save_rollback_checkpoint(State(1000, rollback_target=1000))
    checkpoints.save(State(1000, rollback_target=1000))
    checkpoints.wait()
    for name in ("state.safetensors", "state.json"):
        assert (attempt.checkpoints / "000001.000" / name).samefile(attempt.rollback_checkpoints / "000001.000" / name)


def test_a_rollback_checkpoint_is_a_checkpoint_where_files_cannot_be_linked_too(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    checkpoints = CheckpointManager(attempt, {})
    checkpoints.save_rollback_checkpoint(State(1000, rollback_target=1000))
    checkpoints.wait()
    assert everything(attempt) == {"1/checkpoints": ["000001.000"], "1/best": ["000001.000"]}
    assert newest_valid(attempt.dir.parent, pytest.fail) is not None


def test_a_rollback_checkpoint_waits_for_the_disk_beside_the_training_and_gives_way_to_a_newer_one(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = CheckpointManager(attempt, {})
    with slow_disk(monkeypatch) as written:
        checkpoints.save(State(500))
        for images in (1000, 2000, 3000):
            checkpoints.save_rollback_checkpoint(State(images, rollback_target=images))
        assert checkpoints.busy
    checkpoints.wait()
    assert written == ["checkpoints/000000.500", "best/000003.000"]
    assert everything(attempt) == {"1/checkpoints": ["000000.500", "000003.000"], "1/best": ["000003.000"]}


@pytest.mark.parametrize("take", [CheckpointManager.save, CheckpointManager.save_rollback_checkpoint])
def test_checkpoints_by_the_clock_are_spaced_so_that_copies_take_two_hundredths(
    take: Any, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = CheckpointManager(attempt, {})
    state = State(1000, rollback_target=1000)
    copy = state.copy

    def slow_copy() -> StateCopy:
        now[0] += 0.5
        return copy()

    monkeypatch.setattr(state, "copy", slow_copy)
    assert checkpoints.is_due(0)
    take(checkpoints, state)
    checkpoints.wait()
    now[0] += 24.9
    assert not checkpoints.is_due(10)
    now[0] += 0.2
    assert checkpoints.is_due(10)
    assert not checkpoints.is_due(60)


def test_a_full_disk_is_reported_and_leaves_the_last_checkpoint(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    keep(attempt, 1000)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        keep(attempt, 2000)
    assert disk_full(caught.value)
    assert names(attempt.checkpoints) == ["000001.000"]
