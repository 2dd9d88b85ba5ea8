"""Checkpoints on disk, `checkpoints/KIMG/{state.safetensors, state.json}`: whole or not there, newest first when read.

What belongs into one is `worker.training.state`'s business. Those in `best/` are what a rollback goes back to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models import checkpoint
from models.artefacts import Attempt, Position, attempts
from worker.training.state import Capture, TrainingState

KEPT = 2
_TENSORS, _VALUES = "state.safetensors", "state.json"
_FORMAT = 1


class InvalidCheckpoint(ValueError):
    """A checkpoint that is torn, corrupt or not ours; the message says what is wrong with which file."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read whole and matches its checksum.

    Attributes:
        token: the attempt that wrote it.
        path: its folder.
        tensors: every tensor of the state, on the CPU.
        values: the state's plain values.
        facts: what exactness depends on (threads, precision, versions ...), as they were when it was written.
    """

    token: int
    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    facts: dict[str, Any]

    @property
    def images(self) -> int:
        """Real images shown when it was taken."""
        return int(self.values["images"])

    @property
    def position(self) -> Position:
        """Where the run was when it was taken."""
        return Position(int(self.values["guard"]["rollbacks"]), self.images)

    @property
    def name(self) -> str:
        """Name it within its run, `TOKEN/KIMG`."""
        return f"{self.token}/{self.path.name}"


def newest_valid(run_dir: Path, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint of the newest attempt that has a valid one.

    Args:
        run_dir: the run's folder, with one folder per attempt.
        on_skip: told why a newer one was passed over.
    """
    for token, folder in _folders(run_dir):
        try:
            return read(folder, token)
        except InvalidCheckpoint as problem:
            on_skip(f"checkpoint {token}/{folder.name} is skipped: {problem}")
    return None


def read_refuge(run_dir: Path, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the checkpoint to go back to, or the nearest one before it that is whole.

    Args:
        run_dir: the run's folder.
        position: what the guard remembers.
        on_skip: told why the one wanted was passed over.
    """
    found = [
        (at, attempt.token, path)
        for attempt in attempts(run_dir)
        for at, path in _named(attempt.refuges)
        if at <= position and at.images <= position.images
    ]
    for _, token, folder in sorted(found, reverse=True):
        try:
            return read(folder, token)
        except InvalidCheckpoint as problem:
            on_skip(f"checkpoint {token}/{folder.name} is skipped: {problem}")
    return None


def read(folder: Path, token: int) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        InvalidCheckpoint: a file is missing, cut short, or does not match its checksum.
    """
    try:
        header = json.loads((folder / _VALUES).read_bytes())
        data = (folder / _TENSORS).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidCheckpoint(f"{folder / _VALUES}: {error}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise InvalidCheckpoint(f"{folder / _VALUES}: not a checkpoint of format {_FORMAT}")
    if hashlib.sha256(data).hexdigest() != header.get("sha256"):
        raise InvalidCheckpoint(f"{folder / _TENSORS}: the file does not match its sha256")
    try:
        return Checkpoint(token, folder, checkpoint.load(data), dict(header["values"]), dict(header["facts"]))
    except (checkpoint.CheckpointError, KeyError, TypeError) as error:
        raise InvalidCheckpoint(f"{folder}: {error}") from error


def write(folder: Path, capture: Capture, facts: Mapping[str, Any]) -> Path:
    """Write a checkpoint below `folder`; it appears under its name only when all of it is on the disk.

    Raises:
        OSError: it could not be written; then nothing of it is left.
    """
    target = folder / capture.position.name
    if target.exists():
        return target
    staging = folder / f".writing-{target.name}"
    try:
        staging.mkdir()
        checkpoint.save(capture.tensors, staging / _TENSORS)
        with (staging / _TENSORS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        header = {"format": _FORMAT, "sha256": digest, "values": capture.values, "facts": dict(facts)}
        with (staging / _VALUES).open("w", encoding="utf-8") as text:
            json.dump(header, text, indent=1)
            text.flush()
            os.fsync(text.fileno())
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _sync(folder)
    return target


class Keeper:
    """Keeps an attempt's newest checkpoints, and what they would go back to.

    The training waits for the copy of its state, not for the disk. A state with numbers that are not finite is dropped:
    what is on the disk is better, and the guard finds them by itself, at a position that no clock chooses.
    """

    def __init__(self, attempt: Attempt, facts: Mapping[str, Any]) -> None:
        self._attempt = attempt
        self._facts = facts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._needed: dict[Path, str] = {}
        """By checkpoint, the name of the one that it would go back to."""

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being written."""
        return self._writing is not None and not self._writing.done()

    def keep(self, state: TrainingState) -> None:
        """Copy the state, and write it in the background once an earlier write has ended.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        self._start(self._write, state)

    def shelter(self, state: TrainingState) -> None:
        """Copy and write the state likewise, as what a rollback goes back to.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        self._start(self._write_refuge, state)

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
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _start(self, write: Callable[[Capture, str], None], state: TrainingState) -> None:
        self.settle()
        self._writing = self._writer.submit(write, state.capture(), state.guard.refuge.name)

    def _write(self, capture: Capture, refuge: str) -> None:
        if capture.not_finite():
            return
        self._needed[write(self._attempt.checkpoints, capture, self._facts)] = refuge
        for _, old in _named(self._attempt.checkpoints)[KEPT:]:
            shutil.rmtree(old)
            self._needed.pop(old, None)

    def _write_refuge(self, capture: Capture, refuge: str) -> None:
        if capture.not_finite():
            return
        write(self._attempt.refuges, capture, self._facts)
        for _, old in _named(self._attempt.refuges):
            if old.name != refuge and old.name not in self._needed.values():
                shutil.rmtree(old)


def _folders(run_dir: Path) -> Iterator[tuple[int, Path]]:
    for attempt in reversed(attempts(run_dir)):
        for _, folder in _named(attempt.checkpoints):
            yield attempt.token, folder


def _named(folder: Path) -> list[tuple[Position, Path]]:
    """List checkpoint folders, newest first."""
    with suppress(FileNotFoundError):
        found = [(position, path) for path in folder.iterdir() if (position := Position.parse(path.name))]
        return sorted(found, reverse=True)
    return []


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
