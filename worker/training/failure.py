"""Failures that a retry would not mend: the reason why a training or a preparation has no result, for people."""

from __future__ import annotations

import errno
import json
import sqlite3
from pathlib import Path

from models.datasets.catalogue import DatasetProblem

_RESERVED_BYTES = 4096


class TrainingFailed(Exception):
    """A retry would end the same way; the message is the reason shown on the run."""


class CannotContinue(Exception):
    """This process cannot continue in the middle of a round; a new attempt resumes from the newest checkpoint."""


class GaveUp(TrainingFailed):
    """The guard has no rollback left, and nothing of the run is worth publishing."""


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


def explain(error: Exception) -> str | None:
    """Return the reason of an error that a retry would not mend; None for any other."""
    if disk_full(error):
        return f"disk full: {error}; free some space, then resume the run"
    if isinstance(error, TrainingFailed | DatasetProblem):
        return str(error)
    return None


class FailureNote:
    """The file `failure.json`, whose space is reserved in advance: a full disk is among the reasons."""

    def __init__(self, folder: Path) -> None:
        self._target = folder / "failure.json"
        self._reserve = folder / ".failure.json"
        self._reserve.write_bytes(b" " * _RESERVED_BYTES)

    def write(self, reason: str) -> None:
        """Write the reason, cut to the reserved space."""
        data = json.dumps({"reason": reason[: _RESERVED_BYTES // 8]}).encode()
        with self._reserve.open("r+b") as file:
            file.write(data.ljust(_RESERVED_BYTES))
        self._reserve.replace(self._target)

    def discard(self) -> None:
        """Free the reserved space."""
        self._reserve.unlink(missing_ok=True)
