"""How a job's process reports its end: an exit code, and the reason of a failure. Any other code means that it died.

Of several ranks the first decides: it writes its code to an `ExitStatusFile`, and `worker.jobs.torchrun` exits with it.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from enum import IntEnum
from pathlib import Path

from models import watchdog


class ExitCode(IntEnum):
    """The exit codes, numbered after sysexits.h where one fits."""

    COMPLETED = 0
    # A retry would not help; the reason is in `failure.json`.
    REFUSED = 65
    LOST_SUPERVISOR = watchdog.EXIT_CODE
    # Stopped on request, after a checkpoint.
    STOPPED = 75
    # Another attempt holds the run.
    FENCED = 76


_STATUS_BYTES = 16
_REASON_BYTES = 4096


class ExitStatusFile:
    """A file for rank 0's exit code, whose disk space is reserved before the disk may be full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self) -> None:
        """Create the file, without a code."""
        self._path.write_bytes(b" " * _STATUS_BYTES)

    def write(self, code: ExitCode) -> None:
        """Write the code in place."""
        with self._path.open("r+b") as file:
            file.write(str(int(code)).encode().ljust(_STATUS_BYTES))

    def read(self) -> int | None:
        """Return the code; None where none was written."""
        try:
            return int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None


class FailureNote:
    """The file `failure.json`, whose space is reserved in advance: a full disk is among the reasons."""

    def __init__(self, folder: Path) -> None:
        self._target = folder / "failure.json"
        self._reserve = folder / ".failure.json"
        self._reserve.write_bytes(b" " * _REASON_BYTES)

    def write(self, reason: str) -> None:
        """Write the reason, cut to the reserved space."""
        data = json.dumps({"reason": reason[: _REASON_BYTES // 8]}).encode()
        with self._reserve.open("r+b") as file:
            file.write(data.ljust(_REASON_BYTES))
        self._reserve.replace(self._target)

    def discard(self) -> None:
        """Free the reserved space."""
        self._reserve.unlink(missing_ok=True)


def disk_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, means that a disk or a quota is full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
