"""A training's process, seen from outside: started, asked to stop, killed, and swept up with whatever it started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class Child:
    """A process in a session and group of its own, whose standard input is a pipe that ends when this process does.

    The thread that creates a child must not end before it: the kernel's parent-death signal, which the trainer asks
    for (`models.watchdog`), is bound to that thread. `Supervisor.supervise` returns only once its child has ended,
    so this holds for whatever thread it runs on, Celery's pool thread included.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start `command`, its output appended to `log`.

        Raises:
            OSError: the log cannot be written or the command cannot be started.
        """
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # the pipe outlives this call: it is the child's lifeline
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._process.pid

    def poll(self) -> int | None:
        """Give the exit code, or minus the signal that killed it; None while it runs."""
        if self._process.returncode is None:
            # The zombie keeps its number, and so its group's, from being given to another until it is waited for.
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._reap()
        return self._process.returncode

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process itself: it decides what its own children hear."""
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its group, and wait until it is gone."""
        if self._process.returncode is None:
            self._reap()

    def _reap(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()  # closes the lifeline and waits
