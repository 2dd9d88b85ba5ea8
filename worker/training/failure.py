"""Why a training, or the preparation of a data set, ends without a result, in words for the person who asked for it."""

from __future__ import annotations

import errno
import json
import sqlite3
from pathlib import Path

from models.datasets.catalogue import DatasetProblem

_RESERVED_BYTES = 4096


class TrainingFailed(Exception):
    """A retry would end the same way; the message is the reason told on the run."""


class GaveUp(TrainingFailed):
    """The guard has no way left, and nothing of the run is worth to be published."""


def disk_full(error: BaseException) -> bool:
    """Tell whether an error, or what it came from, means that a disk or a quota is used up."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(seen, sqlite3.Error) and getattr(seen, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def explain(error: Exception) -> str | None:
    """Give the reason for an error that a retry would not mend; None for any other."""
    if disk_full(error):
        return f"disk full: {error}; free some space, then resume the run"
    if isinstance(error, TrainingFailed | DatasetProblem):
        return str(error)
    return None


class FailureNote:
    """Room for the reason, set aside while there is some: a full disk is among the reasons."""

    def __init__(self, folder: Path) -> None:
        self._target = folder / "failure.json"
        self._reserve = folder / ".failure.json"
        self._reserve.write_bytes(b" " * _RESERVED_BYTES)

    def write(self, reason: str) -> None:
        """Tell the reason, cut short to what fits."""
        data = json.dumps({"reason": reason[: _RESERVED_BYTES // 8]}).encode()
        with self._reserve.open("r+b") as file:
            file.write(data.ljust(_RESERVED_BYTES))
        self._reserve.replace(self._target)

    def discard(self) -> None:
        """Give the room back."""
        self._reserve.unlink(missing_ok=True)
