"""Exit codes of a job's process, as its supervisor reads them; any other code means that it died.

Of several ranks the first decides: it writes its code to an `ExitStatusFile`, and `worker.jobs.torchrun` exits with it.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from models import watchdog


class ExitCode(IntEnum):
    """The exit codes, numbered after sysexits.h where one fits."""

    COMPLETED = 0
    REFUSED = 65
    """A retry would not help; the reason is in `failure.json`."""
    LOST_SUPERVISOR = watchdog.EXIT_CODE
    STOPPED = 75
    """Stopped on request, after a checkpoint."""
    FENCED = 76
    """Another attempt holds the run."""


_RESERVED_BYTES = 16


class ExitStatusFile:
    """A file for rank 0's exit code, whose disk space is reserved before the disk may be full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self) -> None:
        """Create the file, without a code."""
        self._path.write_bytes(b" " * _RESERVED_BYTES)

    def write(self, code: ExitCode) -> None:
        """Write the code in place."""
        with self._path.open("r+b") as file:
            file.write(str(int(code)).encode().ljust(_RESERVED_BYTES))

    def read(self) -> int | None:
        """Return the code; None where none was written."""
        try:
            return int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
