"""Checkpoints on disk, `{checkpoints,best}/KIMG/{state.safetensors, state.json}`: whole or not there.

A run resumes from the newest of its `checkpoints/`; a rollback restores one in `best/`; whichever attempt wrote them.
`worker.training.state.state` defines what is in one, `worker.training.state.manager` when one is written and deleted.
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
from worker.training.guard.guard import GuardState
from worker.training.state.state import StateCopy

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
        environment: what exactness depends on (threads, versions ...) when it was written; stored as `facts`.
    """

    token: int
    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    environment: dict[str, Any]

    @property
    def images(self) -> int:
        """Real images counted when it was written."""
        return int(self.values["images"])

    @property
    def position(self) -> Position:
        """Where the run was when it was written."""
        return Position(int(self.values["guard"]["rollbacks"]), self.images)

    @property
    def name(self) -> str:
        """Its name within the run, `TOKEN/KIMG`."""
        return f"{self.token}/{self.path.name}"


def newest_valid(run_dir: Path, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint of the newest attempt that has a valid one.

    Args:
        run_dir: the run's folder, with one folder per attempt.
        on_skip: receives why a newer one was skipped.
    """
    for token, folder in list_run_checkpoints(run_dir):
        try:
            return read(folder, token)
        except InvalidCheckpoint as problem:
            on_skip(f"checkpoint {token}/{folder.name} is skipped: {problem}")
    return None


def read_rollback_checkpoint(run_dir: Path, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the rollback checkpoint of a position, or the nearest one before it that is valid.

    Args:
        run_dir: the run's folder.
        position: the guard's rollback target.
        on_skip: receives why that one was skipped.
    """
    for _, token, folder in list_rollback_checkpoints(run_dir, position):
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


def write(folder: Path, copy: StateCopy, environment: Mapping[str, Any]) -> Path:
    """Write a checkpoint below `folder`; it appears under its name only when all of it is on the disk.

    Raises:
        OSError: it could not be written; then nothing of it is left.
    """
    target = folder / copy.position.name
    if target.exists():
        return target
    with staging_folder(target) as staging:
        weights.save(copy.tensors, staging / _TENSORS)
        with (staging / _TENSORS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        header = {"format": _FORMAT, "sha256": digest, "values": copy.values, "facts": dict(environment)}
        with (staging / _VALUES).open("w", encoding="utf-8") as text:
            json.dump(header, text, indent=1)
            text.flush()
            os.fsync(text.fileno())
    return target


def list_run_checkpoints(run_dir: Path) -> Iterator[tuple[int, Path]]:
    """Yield token and folder of a run's checkpoints, the newest of its newest attempt first."""
    for attempt in reversed(list_attempts(run_dir)):
        for _, folder in list_checkpoints(attempt.checkpoints):
            yield attempt.token, folder


def list_rollback_checkpoints(run_dir: Path, position: Position) -> list[tuple[Position, int, Path]]:
    """List position, token and folder of the rollback checkpoints for a target, the best first."""
    found = [
        (at, attempt.token, path)
        for attempt in list_attempts(run_dir)
        for at, path in list_checkpoints(attempt.rollback_checkpoints)
        if at <= position and at.images <= position.images
    ]
    return sorted(found, reverse=True)


def list_checkpoints(folder: Path) -> list[tuple[Position, Path]]:
    """List checkpoint folders, newest first."""
    with suppress(FileNotFoundError):
        found = [(position, path) for path in folder.iterdir() if (position := Position.parse(path.name))]
        return sorted(found, reverse=True)
    return []


def rollback_target(values: Mapping[str, Any]) -> Position:
    """Return the rollback target of a state."""
    return GuardState.model_validate(values["guard"]).rollback_target


def rollback_target_of(folder: Path) -> Position | None:
    """Read the rollback target of a checkpoint; None where it cannot be read: nothing can resume from it either."""
    try:
        return rollback_target(json.loads((folder / _VALUES).read_bytes())["values"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, then rename it to `target`; if it cannot be filled, nothing of it is left."""
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
