"""Exit codes of a job's process, and the reason of a failure. Any other code means that it died."""

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
    """A file for rank 0's exit code, with disk space reserved in advance."""

    # Of several ranks the first decides: rank 0 writes its code here, and `worker.jobs.torchrun` exits with it.
    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self) -> None:
        self._path.write_bytes(b" " * _STATUS_BYTES)

    def write(self, code: ExitCode) -> None:
        """Write the code in place."""
        with self._path.open("r+b") as file:
            file.write(str(int(code)).encode().ljust(_STATUS_BYTES))

    def read(self) -> int | None:
        """Return the code; None if none was written."""
        try:
            return int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None


class FailureNote:
    """The file `failure.json`, with disk space reserved in advance."""

    def __init__(self, folder: Path) -> None:
        self._target = folder / "failure.json"
        self._reserve = folder / ".failure.json"
        # A full disk is among the reasons that it may have to name.
        self._reserve.write_bytes(b" " * _REASON_BYTES)

    def write(self, reason: str) -> None:
        """Write the reason, cut to the reserved space."""
        data = json.dumps({"reason": reason[: _REASON_BYTES // 8]}).encode()
        with self._reserve.open("r+b") as file:
            file.write(data.ljust(_REASON_BYTES))
        self._reserve.replace(self._target)

    def discard(self) -> None:
        self._reserve.unlink(missing_ok=True)


def disk_full(error: BaseException) -> bool:
    """Return whether an error, or a cause of it, means that a disk or a quota is full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
