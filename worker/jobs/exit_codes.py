"""How a training process ends, as its supervisor reads it; any other exit code means that it died.

Of the ranks of one run the first has the last word (`LastWord`); `worker.jobs.torchrun` passes it on.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from models import watchdog


class ExitCode(IntEnum):
    """The trainer's last word (numbers after sysexits.h where one fits)."""

    COMPLETED = 0
    REFUSED = 65
    """A retry would not mend it; the reason is in `failure.json`."""
    LOST_SUPERVISOR = watchdog.EXIT_CODE
    STOPPED = 75
    """Stopped on request, after a checkpoint."""
    FENCED = 76
    """Another attempt owns the run."""


_ROOM = 16


class ExitStatusFile:
    """A file for rank 0's exit code, with room set aside before the disk may be full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set_aside(self) -> None:
        """Make the file, without a code."""
        self._path.write_bytes(b" " * _ROOM)

    def say(self, code: ExitCode) -> None:
        """Write the code in place."""
        with self._path.open("r+b") as file:
            file.write(str(int(code)).encode().ljust(_ROOM))

    def heard(self) -> int | None:
        """Give the code; None where none was left."""
        try:
            return int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
