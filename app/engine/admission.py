"""Who is let in: a bound on the predicted wait ahead of a request and on the bytes in flight. What a request itself
will take never counts against it, so that a large one is as welcome as a small one on an idle device.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

SMOOTHING = 0.1


class Overloaded(Exception):
    """Too much waits already.

    Args:
        reason: what there is too much of.
        retry_after: whole seconds after which it should have eased.
    """

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(f"{reason}; try again in {retry_after} s")
        self.reason = reason
        self.retry_after = retry_after


class Admission:
    """The bound. For one event loop; not thread-safe.

    Args:
        ahead: predicts the seconds until something asked for now has its turn.
        max_seconds: refuse while more than this is ahead.
        max_bytes: refuse what would bring the pictures in flight above this, unless nothing else is in flight.
    """

    def __init__(self, ahead: Callable[[], float], *, max_seconds: float, max_bytes: int) -> None:
        self._ahead = ahead
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes
        self.bytes = 0
        """Bytes of pictures in flight."""

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Hold a place for a request whose pictures take `size` bytes.

        Raises:
            Overloaded: there is none; nothing is held then.
        """
        seconds = self._ahead()
        if seconds > self._max_seconds:
            # By then half of what is allowed to wait is left.
            raise Overloaded(f"{seconds:.1f} s of work wait", math.ceil(seconds - self._max_seconds / 2))
        if self.bytes and self.bytes + size > self._max_bytes:
            raise Overloaded("pictures in flight fill the memory set aside for them", max(1, math.ceil(seconds)))
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size


class Workers:
    """A few threads for what neither the device nor the event loop should wait for: drawing latents and encoding."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="sampling")
        self._count = count
        self._lock = threading.Lock()
        self._waiting = 0
        self._seconds = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` on one of the threads. Cancelled before it began, it never begins."""
        with self._lock:
            self._waiting += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(lambda _: self._leave())
        return await asyncio.wrap_future(future)

    def seconds_ahead(self) -> float:
        """Predict how long something handed over now would wait."""
        with self._lock:
            return max(0, self._waiting - self._count + 1) * self._seconds / self._count

    def stop(self) -> None:
        """Drop what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = work()
        with self._lock:
            self._seconds += SMOOTHING * (time.perf_counter() - started - self._seconds)
        return result

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1
