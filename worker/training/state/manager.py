"""Checkpoint manager: saves the state of a run in the background, and deletes checkpoints that are no longer needed."""

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

# Checkpoints that a run keeps, over all its attempts.
MAX_CHECKPOINTS: Final = 2
# Share of a training's time that its periodic copies may take.
MAX_STOPPED_SHARE: Final = 0.02


class CheckpointManager:
    """Saves a run's newest checkpoints and their rollback checkpoints, and deletes the others.

    Args:
        environment: settings and versions on which exact results depend, stored with each checkpoint.

    Raises:
        OSError: from its methods, if a checkpoint could not be written.
    """

    def __init__(self, attempt: Attempt, environment: Mapping[str, Any]) -> None:
        self._attempt = attempt
        self._environment = environment
        # The training waits for copies of its state; it waits for the disk only at its end and at a rollback.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[Future[None]] = []
        self._lock = Lock()
        self._pending: StateCopy | None = None  # a rollback checkpoint that waits for the disk
        self._newest_position: Position | None = None
        self._copied_at = time.monotonic()
        self._copy_seconds = 0.0

    @property
    def busy(self) -> bool:
        return any(not writing.done() for writing in self._writing)

    def is_due(self, interval: float) -> bool:
        """Return whether it is time for a periodic checkpoint, at least `interval` seconds after the last copy."""
        # Large states are copied less often, so that copies take at most their share of the time.
        return not self.busy and time.monotonic() - self._copied_at >= max(
            interval, self._copy_seconds / MAX_STOPPED_SHARE
        )

    def save(self, state: TrainingState) -> None:
        """Copy the state, and write it in the background as a checkpoint."""
        # A rollback checkpoint of this position is a checkpoint as well.
        if state.position == self._newest_position:
            return
        # At most one copy waits in memory.
        self.wait()
        copy = self._copy(state)
        self._newest_position = state.position
        self._submit(lambda: self._write(copy))

    def save_rollback_checkpoint(self, state: TrainingState) -> None:
        """Copy the state, and write it in the background as a rollback checkpoint."""
        copy = self._copy(state)
        if state.images:
            # Except at the start, its files are a checkpoint too (`_link`).
            self._newest_position = state.position
        # It replaces one that still waits for the disk; the queue has at most one task for them.
        with self._lock:
            waiting, self._pending = self._pending, copy
        if waiting is None:
            self._submit(self._write_rollback_checkpoint)

    def read_rollback_checkpoint(self, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
        """Read the rollback checkpoint of a position, of any attempt."""
        # It may be in the queue still.
        self.wait()
        return read_rollback_checkpoint(self._attempt.dir.parent, position, on_skip)

    def wait(self) -> None:
        """Wait until everything is written."""
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
        # Keep the good one: the guard finds such values by itself, at a position that does not depend on time.
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
                # Two names of the same files: no second copy on the disk.
                for file in source.iterdir():
                    (staging / file.name).hardlink_to(file)
        except OSError:  # a file system without such links
            write(self._attempt.checkpoints, copy, self._environment)

    def _delete_old(self, goal: Position) -> None:
        run_dir = self._attempt.dir.parent
        every = list_attempts(run_dir)
        # A later attempt may be reading any of them.
        if every[-1].token > self._attempt.token:
            return
        # Checkpoints of earlier attempts stay until this one has its own.
        has_checkpoint = bool(list_checkpoints(self._attempt.checkpoints))
        ours = every if has_checkpoint else [self._attempt]
        found = [folder for _, folder in list_run_checkpoints(run_dir)]
        # Each kept checkpoint needs its rollback checkpoint, as does the run itself.
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
