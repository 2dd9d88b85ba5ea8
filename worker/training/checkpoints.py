"""Checkpoints on disk, `checkpoints/KIMG/{state.safetensors, state.json}`: whole or not there, newest first when read.

What belongs into one is `worker.training.state`'s business.
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
from models.artefacts import attempts, kimg_name
from worker.training.failure import Diverged
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
    target = folder / kimg_name(capture.images)
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
    """Keeps an attempt's newest checkpoints; the training waits for the copy of its state, not for the disk."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        self._facts = facts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being written."""
        return self._writing is not None and not self._writing.done()

    def keep(self, state: TrainingState) -> None:
        """Copy the state, and write it in the background once an earlier write has ended.

        Raises:
            Diverged: the state holds numbers that are not finite: what is on the disk is better.
            OSError: an earlier checkpoint could not be written.
        """
        self.settle()
        capture = state.capture()
        if broken := capture.not_finite():
            at = f"{capture.images / 1000:g} kimg"
            raise Diverged(f"the run has diverged at {at}: {broken[0]} holds numbers that are not finite")
        self._writing = self._writer.submit(self._write, capture)

    def settle(self) -> None:
        """Wait until the disk has everything.

        Raises:
            OSError: the checkpoint could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, capture: Capture) -> None:
        write(self._folder, capture, self._facts)
        for old in _names(self._folder)[KEPT:]:
            shutil.rmtree(old)


def _folders(run_dir: Path) -> Iterator[tuple[int, Path]]:
    for attempt in reversed(attempts(run_dir)):
        for folder in _names(attempt.checkpoints):
            yield attempt.token, folder


def _names(folder: Path) -> list[Path]:
    """List checkpoint folders, newest first; names sort by position."""
    with suppress(FileNotFoundError):
        return sorted((path for path in folder.iterdir() if path.name[0].isdigit()), reverse=True)
    return []


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
