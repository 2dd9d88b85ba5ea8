"""Scheduling priority of processes that give way to the web service."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

# A ninth of the processor time of a process at 0 that wants the same core (Linux halves it for each three steps or so).
BACKGROUND: Final = 10

_AUTOGROUP: Final = Path("/proc/self/autogroup")


def lower_priority(niceness: int = BACKGROUND) -> None:
    """Lower the priority of this process to a niceness, and that of the session that it leads.

    Linux with autogroups first shares the processors between sessions, by a niceness of each, and looks at that of
    processes only within one.
    """
    os.nice(max(0, niceness - os.nice(0)))
    # Absent without autogroups, and not to be written in some containers: then the processes' niceness decides alone.
    with suppress(OSError):
        _AUTOGROUP.write_text(str(niceness))
