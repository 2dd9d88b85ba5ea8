"""Takes a run's checkpoints while it trains: copies beside the training, spaced, and no more of them than are needed.

How one lies on the disk is `checkpoints`' business.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Final

from models.artifacts.attempts import Attempt, Position, list_attempts
from worker.training.state.checkpoints import (
    STAGING,
    Checkpoint,
    folders,
    named,
    read_refuge,
    refuges,
    staged,
    wanted,
    wanted_by,
    write,
)
from worker.training.state.state import Capture, TrainingState

KEPT: Final = 2
"""Of a run, however many attempts it took."""
STOPPED: Final = 0.02
"""Of a training's time, by the copies that come by the clock."""


class CheckpointManager:
    """Keeps a run's newest checkpoints and what they would go back to, and drops the others.

    The training waits for the copy of its state, and for the disk only at its end and where it goes back. A state with
    numbers that are not finite is dropped: what is on the disk is better, and the guard finds them by itself, at a
    position that no clock chooses.
    """

    def __init__(self, attempt: Attempt, facts: Mapping[str, Any]) -> None:
        self._attempt = attempt
        self._facts = facts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[Future[None]] = []
        self._lock = Lock()
        self._waiting: Capture | None = None
        """A refuge that the disk is not free for yet."""
        self._newest: Position | None = None
        self._copied = time.monotonic()
        self._cost = 0.0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being written."""
        return any(not writing.done() for writing in self._writing)

    def is_due(self, interval: float) -> bool:
        """Tell whether it is time for another checkpoint.

        It is after `interval` seconds without a copy, of a refuge neither, and so late after one that such copies stop
        the training for 2 % of its time at most.
        """
        return not self.busy and time.monotonic() - self._copied >= max(interval, self._cost / STOPPED)

    def keep(self, state: TrainingState) -> None:
        """Copy the state, and write it in the background; waits while an earlier one is being written.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        if state.position == self._newest:
            return
        self.settle()
        capture = self._copy(state)
        self._newest = state.position
        self._submit(lambda: self._write(capture))

    def shelter(self, state: TrainingState) -> None:
        """Copy the state as what a rollback goes back to, to be written once the disk is free.

        Another one that is still waiting by then is not written: nothing goes back to it any more. Where the run has
        begun it is a checkpoint as well, of the same files.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        capture = self._copy(state)
        if state.images:
            self._newest = state.position
        with self._lock:
            waiting, self._waiting = self._waiting, capture
        if waiting is None:
            self._submit(self._write_refuge)

    def refuge(self, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
        """Read what a rollback goes back to, of this attempt or an earlier one.

        Raises:
            OSError: a checkpoint could not be written.
        """
        self.settle()
        return read_refuge(self._attempt.dir.parent, position, on_skip)

    def settle(self) -> None:
        """Wait until the disk has everything.

        Raises:
            OSError: the checkpoint could not be written.
        """
        while self._writing:
            self._writing.pop(0).result()

    def _copy(self, state: TrainingState) -> Capture:
        started = time.monotonic()
        capture = state.capture()
        self._copied = time.monotonic()
        self._cost = self._copied - started
        return capture

    def _submit(self, write: Callable[[], None]) -> None:
        while self._writing and self._writing[0].done():
            self._writing.pop(0).result()
        self._writing.append(self._writer.submit(write))

    def _write(self, capture: Capture) -> None:
        if capture.not_finite():
            return
        write(self._attempt.checkpoints, capture, self._facts)
        self._tidy(wanted(capture.values))

    def _write_refuge(self) -> None:
        with self._lock:
            capture, self._waiting = self._waiting, None
        if capture is None or capture.not_finite():
            return
        refuge = write(self._attempt.rollback_checkpoints, capture, self._facts)
        if capture.position.images:
            self._link(refuge, capture)
        self._tidy(wanted(capture.values))

    def _link(self, refuge: Path, capture: Capture) -> None:
        target = self._attempt.checkpoints / refuge.name
        if target.exists():
            return
        try:
            with staged(target) as staging:
                for file in refuge.iterdir():
                    (staging / file.name).hardlink_to(file)
        except OSError:  # a file system without such links
            write(self._attempt.checkpoints, capture, self._facts)

    def _tidy(self, goal: Position) -> None:
        """Drop all checkpoints but the newest, and all refuges but those that they and the run would go back to.

        What earlier attempts left stays until this one has a checkpoint; a later attempt may be reading anything.
        """
        run_dir = self._attempt.dir.parent
        every = list_attempts(run_dir)
        if every[-1].token > self._attempt.token:
            return
        has_checkpoint = bool(named(self._attempt.checkpoints))
        ours = every if has_checkpoint else [self._attempt]
        found = [folder for _, folder in folders(run_dir)]
        goals = {goal, *(other for folder in found[:KEPT] if (other := wanted_by(folder)))}
        needed = {path for goal in goals for _, _, path in refuges(run_dir, goal)[:1]}
        dropped = found[KEPT:] if has_checkpoint else []
        dropped += [path for attempt in ours for _, path in named(attempt.rollback_checkpoints) if path not in needed]
        # Of this attempt there is none: it is this thread that writes.
        dropped += [path for attempt in ours for path in attempt.dir.glob(f"*/{STAGING}*")]
        for path in dropped:
            shutil.rmtree(path)
