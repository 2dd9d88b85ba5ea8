"""Parent-death watchdog: ends a process when the process that started it dies, even by SIGKILL.

Two mechanisms, because each alone can miss: the kernel's parent-death signal (Linux only, bound to the starting
thread), and a pipe that the parent holds open, whose EOF is detected here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO

EXIT_CODE = 70
_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Make the kernel kill this process when its parent dies; Linux only.

    Args:
        parent: the expected process id of the parent, if known; with another one this process exits with `EXIT_CODE`.
    """
    # To be called first. The signal is sent when the parent's *thread* that forked ends: start children from a thread
    # that
    # outlives them.
    before = os.getppid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != (before if parent is None else parent):
        # The parent died before the call above.
        os._exit(EXIT_CODE)


def watch(stream: BinaryIO, exit_code: int = EXIT_CODE) -> threading.Thread:
    """Exit immediately, from a daemon thread, when `stream` (a pipe that the parent holds open) reaches EOF."""
    descriptor = stream.fileno()

    def wait_for_end() -> None:
        try:
            while os.read(descriptor, 1024):
                pass
        except OSError:
            pass
        os._exit(exit_code)

    thread = threading.Thread(target=wait_for_end, name="watchdog", daemon=True)
    thread.start()
    return thread
