"""Child processes of `atelier up`: process groups, parent-death watchdog, log files, restarts with backoff."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_BYTES = 8 << 20
MIN_RESTART_SECONDS = 0.5
MAX_RESTART_SECONDS = 30.0
STABLE_SECONDS = 60.0


@dataclass
class ManagedProcess:
    """One process with its command, log file and restart backoff."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start the process in a group of its own. Call it from the main thread."""
        self.reap()
        _rotate(self.log)
        with self.log.open("ab") as log:
            # From the main thread: the parent-death signal is bound to the thread that started the process. A group of
            # its own, so that Ctrl-C does not reach it, and a pipe that closes when this process dies.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def reap(self) -> None:
        if self.process is not None:
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def exit_reason(self) -> str | None:
        """Return how the process ended, such as `exit status 1` or `killed by SIGKILL`; None while it is alive."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"

    def restart_delay(self) -> float:
        """Return the seconds until the next start, doubled after each early exit."""
        self.failures = 1 if time.monotonic() - self.started > STABLE_SECONDS else self.failures + 1
        return float(min(MAX_RESTART_SECONDS, MIN_RESTART_SECONDS * 2 ** (self.failures - 1)))

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, indented."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode(errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def with_watchdog(command: Sequence[str], niceness: int = 0) -> list[str]:
    """Return a command that runs `command` with the parent-death signal, for programs that cannot set it."""
    return [sys.executable, "-m", "app.cli.exec_with_watchdog", str(os.getpid()), str(niceness), *command]


def terminate(children: Sequence[ManagedProcess], seconds: float, hurry: Callable[[], bool]) -> list[str]:
    """Send SIGTERM, then SIGKILL after `seconds` or when `hurry()`. Return the names of the killed processes."""
    alive = [child for child in children if child.running]
    for child in alive:
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(child.running for child in alive) and time.monotonic() < deadline and not hurry():
        time.sleep(0.02)
    late = [child for child in alive if child.running]
    for child in late:
        _signal(child, signal.SIGKILL)
    for child in children:
        child.reap()
    return [child.name for child in late]


def _signal(child: ManagedProcess, number: signal.Signals) -> None:
    # SIGKILL goes to the group; SIGTERM only to the process, which ends its own children.
    assert child.process is not None
    if number is signal.SIGKILL:
        os.killpg(child.process.pid, number)
    else:
        child.process.send_signal(number)


def _rotate(log: Path) -> None:
    """Move a large log aside; one old log is kept."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
