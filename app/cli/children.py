"""The processes of `atelier up`: started in groups of their own, tied to its life, logged to files, started again.

Which processes there are, and when they start and end, is `app.cli.up`'s business.
"""

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
FIRST_DELAY = 0.5
LAST_DELAY = 30.0
STEADY_SECONDS = 60.0


@dataclass
class Child:
    """One process: its command, its log, and when to start it again if it ends by itself."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start the process in its own group, so that Ctrl-C does not reach it, with a pipe that ends when we do.

        Call it from the main thread: the kernel ties the child to the life of the thread that started it.
        """
        self.forget()
        _turn_over(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def forget(self) -> None:
        """Collect an ended process: its status and our end of its pipe."""
        if self.process is not None:
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def ended(self) -> str | None:
        """Tell how the process ended, such as `exit status 1` or `killed by SIGKILL`; None while it lives."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"

    def delay(self) -> float:
        """Give the seconds to wait before the next start, longer after each early end."""
        self.failures = 1 if time.monotonic() - self.started > STEADY_SECONDS else self.failures + 1
        return float(min(LAST_DELAY, FIRST_DELAY * 2 ** (self.failures - 1)))

    def tail(self, lines: int = 15) -> str:
        """Give the end of the log, for people."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode(errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def tethered(command: Sequence[str], niceness: int = 0) -> list[str]:
    """Wrap a command that cannot watch for its parent's death itself."""
    return [sys.executable, "-m", "app.cli.tether", str(os.getpid()), str(niceness), *command]


def end(children: Sequence[Child], seconds: float, hurry: Callable[[], bool]) -> list[str]:
    """Ask processes to end, kill those that still live after `seconds` or when `hurry()`; name the killed ones."""
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
        child.forget()
    return [child.name for child in late]


def _signal(child: Child, number: signal.Signals) -> None:
    """Signal the group if the process must go for good, else only the process: it knows how to end its own."""
    assert child.process is not None
    if number is signal.SIGKILL:
        os.killpg(child.process.pid, number)
    else:
        child.process.send_signal(number)


def _turn_over(log: Path) -> None:
    """Begin a new log where the old one has grown large; one old one is kept."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
