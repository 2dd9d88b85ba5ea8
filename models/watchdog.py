"""Ties a process to the life of the one that started it, so that a kill -9 of the parent leaves nothing behind.

Two ropes, for either alone can miss: the kernel's parent-death signal (Linux, bound to the starting thread), and a
pipe held open by the parent whose end is seen here as EOF.
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
    """Ask the kernel to kill this process when its parent dies; elsewhere than on Linux only `watch` holds.

    Call it first thing. The signal fires when the parent's *thread* that forked ends, so start children from a thread
    that lives as long as they may.

    Args:
        parent: the expected parent's process id, where it is known; if this process already has another one, the
            parent died before the call, and this process exits with `EXIT_CODE`.
    """
    before = os.getppid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != (before if parent is None else parent):
        os._exit(EXIT_CODE)


def watch(stream: BinaryIO, exit_code: int = EXIT_CODE) -> threading.Thread:
    """Exit at once, from a daemon thread, when `stream` (the read end of a pipe the parent holds) reaches its end.

    The stream is read without a buffer and what it carries is ignored: only its end means something.
    """
    descriptor = stream.fileno()

    def wait_for_end() -> None:
        try:
            while os.read(descriptor, 1024):
                pass
        except OSError:
            pass
        os._exit(exit_code)

    thread = threading.Thread(target=wait_for_end, name="lifeline", daemon=True)
    thread.start()
    return thread
