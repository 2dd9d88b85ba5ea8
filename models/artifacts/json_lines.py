"""Files of JSON lines that are appended to while others read them."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def now() -> str:
    """Give the time as RFC 3339 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append `value` as one JSON line in a single write, so that readers see whole lines or none.

    One process at a time may append to a file. A torn line that a writer before left at its end is closed first.

    Raises:
        OSError: the line could not be written whole, such as on a full disk.
        ValueError: `value` holds NaN or infinity, which JSON has not.
    """
    line = json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.fstat(descriptor).st_size
        is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        data = (f"\n{line}" if is_torn else line).encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "the line was cut short; is the disk full?", str(path))
    finally:
        os.close(descriptor)


def read_lines(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read whole JSON lines from byte `offset` on, and the offset to go on from; a torn last line is left for later.

    A torn line in the middle (a full disk, a kill) is skipped: what follows it is still history.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    values = [value for line in data[:whole].splitlines() if (value := parsed(line)) is not None]
    return values, offset + whole


def parsed(line: bytes) -> dict[str, Any] | None:
    """Read one line; None if it is torn."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def size_of(path: Path) -> int:
    """Give a file's size in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
