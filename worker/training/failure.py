"""Why a training ends without a result, in words for the person who asked for it."""

from __future__ import annotations

import errno
import sqlite3


class TrainingFailed(Exception):
    """A retry would end the same way; the message is the reason told on the run."""


class Diverged(TrainingFailed):
    """Numbers are no longer finite."""


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
