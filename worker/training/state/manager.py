"""Checkpoint manager: saves a run's state in the background while it trains, and deletes what is no longer needed.

The files are described in `worker.training.state.checkpoints`.
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
    list_checkpoints,
    list_rollback_checkpoints,
    list_run_checkpoints,
    read_rollback_checkpoint,
    rollback_target,
    rollback_target_of,
    staging_folder,
    write,
)
from worker.training.state.state import StateCopy, TrainingState

# Checkpoints of a run that are kept, over all its attempts.
MAX_CHECKPOINTS: Final = 2
# Share of a training's time that copies at intervals of time may take.
MAX_STOPPED_SHARE: Final = 0.02


class CheckpointManager:
    """Saves a run's newest checkpoints and their rollback checkpoints, and deletes the others.

    The training waits for the copy of its state; it waits for the disk only at its end and at a rollback.

    Args:
        attempt: whose folder is written.
        environment: what exactness depends on, to be stored with each checkpoint.
    """

    def __init__(self, attempt: Attempt, environment: Mapping[str, Any]) -> None:
        self._attempt = attempt
        self._environment = environment
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[Future[None]] = []
        self._lock = Lock()
        self._pending: StateCopy | None = None  # a rollback checkpoint that waits for the disk
        self._newest_position: Position | None = None
        self._copied_at = time.monotonic()
        self._copy_seconds = 0.0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being written."""
        return any(not writing.done() for writing in self._writing)

    def is_due(self, interval: float) -> bool:
        """Whether `interval` seconds, or as many as bound the copies' share of the time, have passed since a copy."""
        return not self.busy and time.monotonic() - self._copied_at >= max(
            interval, self._copy_seconds / MAX_STOPPED_SHARE
        )

    def save(self, state: TrainingState) -> None:
        """Copy the state and write it in the background as a checkpoint; wait first while another is being written.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        # A rollback checkpoint of this position is a checkpoint as well.
        if state.position == self._newest_position:
            return
        self.wait()
        copy = self._copy(state)
        self._newest_position = state.position
        self._submit(lambda: self._write(copy))

    def save_rollback_checkpoint(self, state: TrainingState) -> None:
        """Copy the state and write it in the background as a rollback checkpoint, once the disk is free.

        It replaces one that still waits for the disk. Once the run has begun, it is a checkpoint as well, of the same
        files.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        copy = self._copy(state)
        if state.images:
            self._newest_position = state.position
        # The writer takes the newest one; a task for it is queued only where none is waiting yet.
        with self._lock:
            waiting, self._pending = self._pending, copy
        if waiting is None:
            self._submit(self._write_rollback_checkpoint)

    def read_rollback_checkpoint(self, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
        """Read the rollback checkpoint of a position, of this attempt or an earlier one.

        Raises:
            OSError: a checkpoint could not be written.
        """
        self.wait()
        return read_rollback_checkpoint(self._attempt.dir.parent, position, on_skip)

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: the checkpoint could not be written.
        """
        while self._writing:
            self._writing.pop(0).result()

    def _copy(self, state: TrainingState) -> StateCopy:
        started = time.monotonic()
        copy = state.copy()
        self._copied_at = time.monotonic()
        self._copy_seconds = self._copied_at - started
        return copy

    def _submit(self, write: Callable[[], None]) -> None:
        # Raise errors of earlier writes here, in the training's thread.
        while self._writing and self._writing[0].done():
            self._writing.pop(0).result()
        self._writing.append(self._writer.submit(write))

    def _write(self, copy: StateCopy) -> None:
        # Not over a good one: the guard finds such numbers by itself, at a position that no clock chooses.
        if copy.not_finite():
            return
        write(self._attempt.checkpoints, copy, self._environment)
        self._delete_old(rollback_target(copy.values))

    def _write_rollback_checkpoint(self) -> None:
        with self._lock:
            copy, self._pending = self._pending, None
        if copy is None or copy.not_finite():
            return
        written = write(self._attempt.rollback_checkpoints, copy, self._environment)
        if copy.position.images:
            self._link(written, copy)
        self._delete_old(rollback_target(copy.values))

    def _link(self, source: Path, copy: StateCopy) -> None:
        target = self._attempt.checkpoints / source.name
        if target.exists():
            return
        try:
            with staging_folder(target) as staging:
                for file in source.iterdir():
                    (staging / file.name).hardlink_to(file)
        except OSError:  # a file system without such links
            write(self._attempt.checkpoints, copy, self._environment)

    def _delete_old(self, goal: Position) -> None:
        """Delete all checkpoints but the newest, and all rollback checkpoints that neither they nor the run needs."""
        run_dir = self._attempt.dir.parent
        every = list_attempts(run_dir)
        # A later attempt may be reading anything.
        if every[-1].token > self._attempt.token:
            return
        # What earlier attempts left stays until this one has a checkpoint.
        has_checkpoint = bool(list_checkpoints(self._attempt.checkpoints))
        ours = every if has_checkpoint else [self._attempt]
        found = [folder for _, folder in list_run_checkpoints(run_dir)]
        goals = {goal, *(other for folder in found[:MAX_CHECKPOINTS] if (other := rollback_target_of(folder)))}
        needed = {path for goal in goals for _, _, path in list_rollback_checkpoints(run_dir, goal)[:1]}
        dropped = found[MAX_CHECKPOINTS:] if has_checkpoint else []
        dropped += [
            path for attempt in ours for _, path in list_checkpoints(attempt.rollback_checkpoints) if path not in needed
        ]
        # Staging folders of killed attempts; this attempt has none now, because this thread writes them.
        dropped += [path for attempt in ours for path in attempt.dir.glob(f"*/{STAGING}*")]
        for path in dropped:
            shutil.rmtree(path)
