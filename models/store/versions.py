"""One version's folder, judged by its manifest and by stats of the files beside it; contents are not read here."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from models.files import replace_file, sync_folder
from models.store.manifest import (
    DELETED,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Deletion,
    Manifest,
    ManifestError,
    parse_manifest,
)

State = Literal["whole", "arriving", "broken"]

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

# What changes when a file does: times of change and modification, size, inode; None for a file that is not there.
Stamp = tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Version:
    """A published generator as it lies in the model directory.

    Attributes:
        state: `whole`; `arriving` while files are missing or short; `broken` when it cannot become whole by itself.
        manifest: None while it cannot be read.
        reason: why it is not whole.
        stamps: of the manifest, then of the files that it lists: another value means another look is due.
    """

    model: str
    number: int
    state: State
    manifest: Manifest | None
    reason: str | None
    path: Path
    stamps: tuple[Stamp, ...]

    @property
    def ref(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.model}@{self.number}"


class _NotWhole(Exception):
    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def parse_number(text: str) -> int | None:
    """Read a version number as folders and references write it: no sign, no leading zero."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_pinned(ref: str | None) -> bool:
    """Tell whether `ref` names one version for ever: `NAME@3`, not `NAME`, `NAME@best` or the default model (None)."""
    return parse_number((ref or "").partition("@")[2]) is not None


def numbers(folder: Path) -> Iterator[int]:
    """List every number that something stands under in a model's folder, deleted versions included.

    Raises:
        OSError: the folder cannot be listed, other than because it is none.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (number := parse_number(entry.name)) is not None:
                    yield number
    except (FileNotFoundError, NotADirectoryError):
        return


def examine(folder: Path, model: str, number: int, before: Version | None = None) -> Version | None:
    """Look at a version's folder.

    Args:
        folder: the version's folder.
        model: the name that the manifest must give.
        number: the number that the manifest must give.
        before: what was seen last: where no stamp has changed it is given again, with its verdict.

    Returns:
        What lies there; None for a deleted version. A bad version is described, never an exception.
    """
    stamps: tuple[Stamp, ...] = ()
    manifest: Manifest | None = None
    state: State = "whole"
    reason: str | None = None
    try:
        if _stamp(folder / DELETED) is not None:
            return None
        stamps = (_stamp(folder / MANIFEST),)
        if before is not None and before.stamps[:1] == stamps:
            if before.manifest is None:
                return before
            manifest = before.manifest
        else:
            manifest = _read_manifest(folder, stamps[0], model, number)
        stamps += tuple(_stamp(folder / name) for name in manifest.files)
        _compare_sizes(manifest, stamps[1:])
    except _NotWhole as problem:
        state, reason = problem.state, problem.reason
    except OSError as error:
        # It may pass without any file changing: no stamps, so that the next look is a fresh one.
        state, reason, stamps = "broken", f"it cannot be read: {error}", ()
    if before is not None and stamps and before.stamps == stamps:
        return before
    return Version(model, number, state, manifest, reason, folder, stamps)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        # Not even opened: reading from a named pipe would wait for ever.
        raise _NotWhole("broken", f"{path.name} is not a regular file")
    return status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino


def _read_manifest(folder: Path, stamp: Stamp, model: str, number: int) -> Manifest:
    if stamp is None:
        raise _NotWhole("arriving", f"{MANIFEST} is missing")
    try:
        with (folder / MANIFEST).open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise _NotWhole("arriving", f"{MANIFEST} is missing") from None
    if len(data) > MAX_MANIFEST_BYTES:
        raise _NotWhole("broken", f"{MANIFEST} is larger than {MAX_MANIFEST_BYTES:,} bytes")
    try:
        return parse_manifest(data, model, number)
    except ManifestError as error:
        raise _NotWhole("arriving" if error.arriving else "broken", str(error)) from error


def _compare_sizes(manifest: Manifest, stamps: tuple[Stamp, ...]) -> None:
    for (name, entry), stamp in zip(manifest.files.items(), stamps, strict=True):
        if stamp is None:
            raise _NotWhole("arriving", f"{name} is missing")
        size = stamp[2]
        if size != entry.size:
            raise _NotWhole("arriving", f"{name} has {size:,} of {entry.size:,} bytes")


def delete(version: Version) -> None:
    """Remove a version's files; `deleted.json` stays, and keeps its number and its place in its run.

    Raises:
        OSError: a file could not be removed; the version is deleted once `deleted.json` is there.
    """
    provenance = version.manifest.provenance if version.manifest is not None else None
    deletion = Deletion(
        model=version.model,
        version=version.number,
        deleted_at=datetime.now(UTC),
        run=provenance.run if provenance is not None else None,
        images=provenance.images if provenance is not None else None,
    )
    if version.path.is_symlink():
        # What it leads to belongs to somebody else.
        version.path.unlink()
        version.path.mkdir()
    # Written first: from here on the version is gone, whatever happens to the rest.
    replace_file(version.path / DELETED, deletion.model_dump_json().encode() + b"\n")
    for entry in version.path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != DELETED:
            entry.unlink()
    sync_folder(version.path)
