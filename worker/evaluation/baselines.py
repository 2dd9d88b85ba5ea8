"""What real images score against real ones, kept by protocol: the same for every generator that a protocol compares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from models.files import locked, replace_file

FILE: Final = "floors.json"


def obtain(folder: Path, protocols: Mapping[str, str], measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Give the floor of each measure, by its name; what is not kept in the folder is measured first, and kept.

    Args:
        folder: of the file.
        protocols: of each measure, by its name.
        measure: gives all of their floors.

    Raises:
        OSError: the file could not be written, such as on a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    keys = {name: f"{name}: {protocol}" for name, protocol in protocols.items()}
    known = _read(path)
    if not known.keys() >= set(keys.values()):
        measured = measure()
        with locked(folder / f".{FILE}.lock"):
            known = _read(path) | {key: measured[name] for name, key in keys.items()}
            replace_file(path, json.dumps(known, indent=1).encode())
    return {name: known[key] for name, key in keys.items()}


def _read(path: Path) -> dict[str, float]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
