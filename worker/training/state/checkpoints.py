"""Checkpoints on disk: `{checkpoints,best}/KIMG/{state.safetensors, state.json}`.

A run resumes from the newest one in its `checkpoints/`; a rollback restores one in `best/`, of any attempt.
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
    """A checkpoint that is incomplete, corrupt or of another format; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint that matches its checksum.

    Attributes:
        token: of the attempt that wrote it.
        tensors: every tensor of the state, on the CPU.
        values: the other values of the state.
        environment: settings and versions on which exact results depend.
    """

    token: int
    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    environment: dict[str, Any]

    @property
    def images(self) -> int:
        return int(self.values["images"])

    @property
    def position(self) -> Position:
        return Position(int(self.values["guard"]["rollbacks"]), self.images)

    @property
    def name(self) -> str:
        return f"{self.token}/{self.path.name}"


def newest_valid(run_dir: Path, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint of the newest attempt that has a valid one.

    Args:
        on_skip: receives the reason for each newer one that is skipped.
    """
    for token, folder in list_run_checkpoints(run_dir):
        try:
            return read(folder, token)
        except InvalidCheckpoint as problem:
            on_skip(f"checkpoint {token}/{folder.name} is skipped: {problem}")
    return None


def read_rollback_checkpoint(run_dir: Path, position: Position, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """Read the rollback checkpoint of a position, or the nearest valid one before it.

    Args:
        on_skip: receives the reason for each one that is skipped.
    """
    for _, token, folder in list_rollback_checkpoints(run_dir, position):
        try:
            return read(folder, token)
        except InvalidCheckpoint as problem:
            on_skip(f"checkpoint {token}/{folder.name} is skipped: {problem}")
    return None


def read(folder: Path, token: int) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InvalidCheckpoint: a file is missing, incomplete, or does not match its checksum.
    """
    try:
        header = json.loads((folder / _VALUES).read_bytes())
        data = (folder / _TENSORS).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidCheckpoint(f"{folder / _VALUES}: {error}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise InvalidCheckpoint(f"{folder / _VALUES}: not a checkpoint of format {_FORMAT}")
    # The header is written last and has the checksum of the tensors, so a torn pair of files is noticed.
    if hashlib.sha256(data).hexdigest() != header.get("sha256"):
        raise InvalidCheckpoint(f"{folder / _TENSORS}: the file does not match its sha256")
    try:
        # Format 1 stores the environment as `facts`.
        return Checkpoint(token, folder, weights.load(data), dict(header["values"]), dict(header["facts"]))
    except (weights.CheckpointError, KeyError, TypeError) as error:
        raise InvalidCheckpoint(f"{folder}: {error}") from error


def write(folder: Path, copy: StateCopy, environment: Mapping[str, Any]) -> Path:
    """Write a checkpoint into a folder named after its position below `folder`, and return its path.

    Raises:
        OSError: it could not be written; then nothing of it remains.
    """
    target = folder / copy.position.name
    if target.exists():
        # The same position of a run has the same state.
        return target
    with staging_folder(target) as staging:
        weights.save(copy.tensors, staging / _TENSORS)
        with (staging / _TENSORS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        header = {"format": _FORMAT, "sha256": digest, "values": copy.values, "facts": dict(environment)}
        with (staging / _VALUES).open("w", encoding="utf-8") as text:
            json.dump(header, text, indent=1)
            # On the disk before the folder gets its name: a power failure must not leave a named but empty checkpoint.
            text.flush()
            os.fsync(text.fileno())
    return target


def list_run_checkpoints(run_dir: Path) -> Iterator[tuple[int, Path]]:
    """Yield token and folder of a run's checkpoints, the newest of its newest attempt first."""
    for attempt in reversed(list_attempts(run_dir)):
        for _, folder in list_checkpoints(attempt.checkpoints):
            yield attempt.token, folder


def list_rollback_checkpoints(run_dir: Path, position: Position) -> list[tuple[Position, int, Path]]:
    """Return position, token and folder of the rollback checkpoints for a target, the best first."""
    found = [
        (at, attempt.token, path)
        for attempt in list_attempts(run_dir)
        for at, path in list_checkpoints(attempt.rollback_checkpoints)
        if at <= position and at.images <= position.images
    ]
    return sorted(found, reverse=True)


def list_checkpoints(folder: Path) -> list[tuple[Position, Path]]:
    with suppress(FileNotFoundError):
        found = [(position, path) for path in folder.iterdir() if (position := Position.parse(path.name))]
        return sorted(found, reverse=True)
    return []


def rollback_target(values: Mapping[str, Any]) -> Position:
    return GuardState.model_validate(values["guard"]).rollback_target


def rollback_target_of(folder: Path) -> Position | None:
    """Return the rollback target of a checkpoint; None if it cannot be read."""
    try:
        return rollback_target(json.loads((folder / _VALUES).read_bytes())["values"])
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing can resume from such a checkpoint, so it needs no rollback checkpoint.
        return None


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, then rename it to `target`; after an error nothing of it remains."""
    staging = target.with_name(STAGING + target.name)
    try:
        staging.mkdir()
        yield staging
        sync_folder(staging)
        # A rename is atomic: readers see the whole checkpoint or none.
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(target.parent)
