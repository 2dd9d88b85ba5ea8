"""Aliases of one model: files `aliases/ALIAS` that hold a version number, replaced atomically.

`latest` is no file: `models.store.local` computes it.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from pathlib import Path

from models.config.values import NAME
from models.files import locked, replace_file, sync_folder
from models.store.versions import parse_number

BEST = "best"
LATEST = "latest"

_FOLDER = "aliases"
_LOCK = ".lock"
_MAX_BYTES = 32


def alias_problem(alias: str) -> str | None:
    """Say what keeps `alias` from being set or deleted, if anything does."""
    if not re.fullmatch(NAME, alias):
        return f'"{alias}" is no alias: use up to 64 of a-z 0-9 . _ - and begin with a letter or a digit'
    if alias.isdigit():
        return f'"{alias}" is no alias: a number means a version'
    if alias == LATEST:
        return f'"{LATEST}" is always the highest whole version and cannot be set or deleted'
    return None


def read_aliases(folder: Path) -> dict[str, int]:
    """Read a model's aliases by name; files that are none are passed over.

    Raises:
        OSError: the folder cannot be listed, other than because it is missing.
    """
    try:
        with os.scandir(folder / _FOLDER) as entries:
            names = sorted(entry.name for entry in entries if alias_problem(entry.name) is None)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {name: _read_number(folder / _FOLDER / name) for name in names}
    return {name: number for name, number in found.items() if number is not None}


def _read_number(path: Path) -> int | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError:
        # An alias that nobody can read is none; it must not hide its model.
        return None
    return parse_number(data.decode("ascii", "replace").strip())


def write_alias(folder: Path, alias: str, number: int) -> None:
    """Point an alias at a version; the caller holds `changing`.

    Raises:
        OSError: it could not be written; the alias is as it was.
    """
    (folder / _FOLDER).mkdir(exist_ok=True)
    replace_file(folder / _FOLDER / alias, f"{number}\n".encode())


def remove_alias(folder: Path, alias: str) -> None:
    """Remove an alias; the caller holds `changing`."""
    (folder / _FOLDER / alias).unlink()
    sync_folder(folder / _FOLDER)


def changing(folder: Path) -> AbstractContextManager[None]:
    """Hold a model against other changes of its aliases and deletions, by other processes too."""
    return locked(folder / _LOCK)
