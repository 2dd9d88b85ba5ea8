"""The process of a job: started, stopped, killed together with its children."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class JobProcess:
    """A process in a session and group of its own, with a pipe as its standard input."""

    # The thread that creates a job's process must not end before it: the kernel's parent-death signal, which the
    # process requests (`models.watchdog`), is bound to that thread. `Supervisor.supervise` returns only once the
    # process has ended, so this holds for any thread, Celery's pool thread included.

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start `command`, its output appended to `log`.

        Raises:
            OSError: the log cannot be written or the command cannot be started.
        """
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # its standard input stays open: its end tells the child to exit
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, or minus the signal that killed it; None while it runs."""
        if self._process.returncode is None:
            # While the zombie is not waited for, its number, and so its group's, cannot be reused.
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._reap()
        return self._process.returncode

    def terminate(self) -> None:
        """Send SIGTERM to the process alone."""
        if self._process.returncode is None:
            # Not to the group: the process decides which signals its own children receive.
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its group, and wait for its end."""
        if self._process.returncode is None:
            self._reap()

    def _reap(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()  # closes the pipe and waits
