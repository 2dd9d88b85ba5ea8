"""Folders of a local store: examination of versions by manifests and stats, alias files, deletions."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from models.files import locked, replace_file, sync_folder
from models.store.catalogue import ModelInfo
from models.store.manifest import (
    DELETED,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Deletion,
    Manifest,
    ManifestError,
    parse_manifest,
)
from models.store.versions import UnusableVersion, Version, WholeVersion, alias_problem, parse_number

_ALIASES = "aliases"
_LOCK = ".lock"
_MAX_ALIAS_BYTES = 32

# Times of change and modification, size and inode of a file; None for one that is not there.
Stamp = tuple[int, int, int, int] | None


class _NotWhole(Exception):
    def __init__(self, state: Literal["arriving", "broken"], reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def lock_model(folder: Path) -> AbstractContextManager[None]:
    """Lock a model against changes of its aliases and deletions by other threads and processes."""
    return locked(folder / _LOCK)


def examine_model(folder: Path, name: str, before: ModelInfo | None = None) -> ModelInfo | None:
    """Examine a model's folder; None if it holds no version.

    Args:
        before: the previous result; versions with unchanged files are taken from it.

    Raises:
        OSError: the folder cannot be listed.
    """
    known = {version.number: version for version in before.versions} if before is not None else {}
    found = [examine_version(folder / str(n), name, n, known.get(n)) for n in sorted(list_numbers(folder))]
    versions = [version for version in found if version is not None]
    return ModelInfo.of(name, versions, read_aliases(folder)) if versions else None


def list_numbers(folder: Path) -> Iterator[int]:
    """Yield every number in use in a model's folder, deleted versions included.

    Raises:
        OSError: the folder exists and cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (number := parse_number(entry.name)) is not None:
                    yield number
    except (FileNotFoundError, NotADirectoryError):
        return


def examine_version(folder: Path, model: str, number: int, before: Version | None = None) -> Version | None:
    """Examine a version's folder by stats; only a changed manifest is read.

    Args:
        folder: the version's folder.
        model: the name that the manifest must give.
        number: the number that the manifest must give.
        before: the previous result; it is returned unchanged if no stamp has changed.

    Returns:
        The version, whole or unusable; None for a deleted one.
    """
    stamps: tuple[Stamp, ...] = ()
    manifest: Manifest | None = None
    problem: _NotWhole | None = None
    try:
        if _stamp(folder / DELETED) is not None:
            return None
        stamps = (_stamp(folder / MANIFEST),)
        # Manifests are parsed once: a scan of unchanged files costs their stats alone.
        if before is not None and before.revision[:1] == stamps:
            if before.manifest is None:
                return before
            manifest = before.manifest
        else:
            manifest = _read_manifest(folder, stamps[0], model, number)
        stamps += tuple(_stamp(folder / name) for name in manifest.files)
        _compare_sizes(manifest, stamps[1:])
    except _NotWhole as found:
        problem = found
    except OSError as error:
        # It may pass without any file changing: no stamps, so that the next scan examines it again.
        problem, stamps = _NotWhole("broken", f"it cannot be read: {error}"), ()
    # The same files: earlier findings about their contents still hold.
    if before is not None and stamps and before.revision == stamps:
        return before
    if problem is None and manifest is not None:
        return WholeVersion(model, number, manifest, stamps)
    assert problem is not None
    return UnusableVersion(model, number, problem.state, problem.reason, manifest, stamps)


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


def delete_version(folder: Path, version: Version) -> None:
    """Remove a version's files; `deleted.json` keeps its number and its position in its run.

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
    if folder.is_symlink():
        # The link's target does not belong to the store.
        folder.unlink()
        folder.mkdir()
    # Written first: from here on the version is deleted, even if removing the rest fails.
    replace_file(folder / DELETED, deletion.model_dump_json().encode() + b"\n")
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != DELETED:
            entry.unlink()
    sync_folder(folder)


def read_deletion(folder: Path) -> Deletion | None:
    """Read the record of a deleted version; None if it is not valid."""
    try:
        return Deletion.model_validate_json((folder / DELETED).read_bytes())
    except ValueError:
        return None


def read_aliases(folder: Path) -> dict[str, int]:
    """Read a model's aliases by name, without files that are not aliases.

    Raises:
        OSError: the folder exists and cannot be listed.
    """
    try:
        with os.scandir(folder / _ALIASES) as entries:
            names = sorted(entry.name for entry in entries if alias_problem(entry.name) is None)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {name: _read_number(folder / _ALIASES / name) for name in names}
    return {name: number for name, number in found.items() if number is not None}


def _read_number(path: Path) -> int | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_MAX_ALIAS_BYTES)
    except OSError:
        # An unreadable alias is ignored; it must not hide its model.
        return None
    return parse_number(data.decode("ascii", "replace").strip())


def write_alias(folder: Path, alias: str, number: int) -> None:
    """Point an alias at a version; the caller holds `lock_model`.

    Raises:
        OSError: it could not be written; the alias is unchanged.
    """
    (folder / _ALIASES).mkdir(exist_ok=True)
    replace_file(folder / _ALIASES / alias, f"{number}\n".encode())


def remove_alias(folder: Path, alias: str) -> None:
    """Remove an alias; the caller holds `lock_model`."""
    (folder / _ALIASES / alias).unlink()
    sync_folder(folder / _ALIASES)
