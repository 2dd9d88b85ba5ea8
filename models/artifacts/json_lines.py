"""JSON lines files, appended to by one process while others read them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def utc_now() -> str:
    """Return the time as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def append_line(path: Path, value: Mapping[str, object]) -> None:
    """Append a JSON object as one line. One process at a time may append to a file.

    Raises:
        OSError: the line could not be written whole, such as on a full disk.
        ValueError: `value` holds NaN or infinity, which JSON cannot hold.
    """
    line = json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.fstat(descriptor).st_size
        is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        # A single write, so that readers see the whole line or nothing; a torn line before it is closed first.
        data = (f"\n{line}" if is_torn else line).encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "the line was cut short; is the disk full?", str(path))
    finally:
        os.close(descriptor)


def read_lines(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read the complete lines from byte `offset` on.

    Returns:
        The objects, and the offset to continue from. An incomplete last line is left for the next call.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    # A torn line in the middle (a full disk, a kill) is skipped: the lines after it are valid.
    values = [value for line in data[:whole].splitlines() if (value := parse_line(line)) is not None]
    return values, offset + whole


def parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
