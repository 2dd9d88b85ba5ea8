"""How a training process ends, as its supervisor reads it; any other exit code means that it died."""

from __future__ import annotations

from enum import IntEnum

from models import lifeline


class ExitCode(IntEnum):
    """The trainer's last word (numbers after sysexits.h where one fits)."""

    COMPLETED = 0
    REFUSED = 65
    """A retry would not mend it; the reason is in `failure.json`."""
    LOST_SUPERVISOR = lifeline.EXIT_CODE
    STOPPED = 75
    """Stopped on request, after a checkpoint."""
    FENCED = 76
    """Another attempt owns the run."""
