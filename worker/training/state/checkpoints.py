"""Checkpoints on disk, `{checkpoints,best}/KIMG/{state.safetensors, state.json}`: whole or not there.

A run goes on from the newest of its `checkpoints/`, and a rollback goes back to one in `best/`, whichever attempt wrote
them. What belongs into one is `worker.training.state.state`'s business, when one is taken and dropped `keeper`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.artifacts.attempts import Position, list_attempts
from models.files import sync_folder
from models.store import weights
from worker.training.guard.guard import Memory
from worker.training.state.state import Capture

_TENSORS, _VALUES = "state.safetensors", "state.json"
STAGING = ".writing-"
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
    for token, folder in folders(run_dir):
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
    for _, token, folder in refuges(run_dir, position):
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
        return Checkpoint(token, folder, weights.load(data), dict(header["values"]), dict(header["facts"]))
    except (weights.CheckpointError, KeyError, TypeError) as error:
        raise InvalidCheckpoint(f"{folder}: {error}") from error


def write(folder: Path, capture: Capture, facts: Mapping[str, Any]) -> Path:
    """Write a checkpoint below `folder`; it appears under its name only when all of it is on the disk.

    Raises:
        OSError: it could not be written; then nothing of it is left.
    """
    target = folder / capture.position.name
    if target.exists():
        return target
    with staged(target) as staging:
        weights.save(capture.tensors, staging / _TENSORS)
        with (staging / _TENSORS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        header = {"format": _FORMAT, "sha256": digest, "values": capture.values, "facts": dict(facts)}
        with (staging / _VALUES).open("w", encoding="utf-8") as text:
            json.dump(header, text, indent=1)
            text.flush()
            os.fsync(text.fileno())
    return target


def folders(run_dir: Path) -> Iterator[tuple[int, Path]]:
    """List a run's checkpoints, the newest of its newest attempt first: attempt and folder."""
    for attempt in reversed(list_attempts(run_dir)):
        for _, folder in named(attempt.checkpoints):
            yield attempt.token, folder


def refuges(run_dir: Path, position: Position) -> list[tuple[Position, int, Path]]:
    """List what can be gone back to from a memory of `position`, the best first: position, attempt and folder."""
    found = [
        (at, attempt.token, path)
        for attempt in list_attempts(run_dir)
        for at, path in named(attempt.rollback_checkpoints)
        if at <= position and at.images <= position.images
    ]
    return sorted(found, reverse=True)


def named(folder: Path) -> list[tuple[Position, Path]]:
    """List checkpoint folders, newest first."""
    with suppress(FileNotFoundError):
        found = [(position, path) for path in folder.iterdir() if (position := Position.parse(path.name))]
        return sorted(found, reverse=True)
    return []


def wanted(values: Mapping[str, Any]) -> Position:
    """Give the position of what a state would go back to."""
    return Memory.model_validate(values["guard"]).refuge


def wanted_by(folder: Path) -> Position | None:
    """Read from a checkpoint what it would go back to; None where it cannot be read: nothing goes on from it either."""
    try:
        return wanted(json.loads((folder / _VALUES).read_bytes())["values"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which then gets its name; if it cannot be filled, nothing of it is left."""
    staging = target.with_name(STAGING + target.name)
    try:
        staging.mkdir()
        yield staging
        sync_folder(staging)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(target.parent)
