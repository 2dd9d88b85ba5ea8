"""Who is let in: a bound on the predicted wait ahead of a request and on the bytes in flight. What a request itself
will take never counts against it, so that a large one is as welcome as a small one on an idle device.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

T = TypeVar("T")

SMOOTHING = 0.1
CAUTION = 1.4
"""A wait is predicted from the present pace, and a crowd slows that down: refusing it takes the same cores. So much
longer than predicted it may become without breaking the bound."""


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


class Lease:
    """Bytes that something in flight takes."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size
        self._since = time.monotonic()
        admission.bytes += size

    def lower(self, size: int) -> None:
        """Give back all but `size` bytes."""
        self._admission.bytes -= max(0, self._size - size)
        self._size = min(self._size, size)

    def end(self) -> None:
        """Give everything back; idempotent."""
        if self._size:
            self._admission.ended(time.monotonic() - self._since)
        self.lower(0)


class Admission:
    """The bound. For one event loop; not thread-safe.

    Args:
        ahead: predicts the seconds until something asked for now has its turn.
        max_seconds: refuse what might wait for longer than this.
        max_bytes: refuse what would bring the bytes in flight above this, unless nothing else is in flight.
    """

    def __init__(self, ahead: Callable[[], float], *, max_seconds: float, max_bytes: int) -> None:
        self.seconds_ahead = ahead
        self._bound = max_seconds / CAUTION
        self._max_bytes = max_bytes
        self._stay = 1.0
        self.bytes = 0
        """Bytes in flight: pictures, what they are encoded from, and answers until they are sent."""

    def lease(self, size: int, *, waits: bool = True) -> Lease:
        """Let something in that takes `size` bytes.

        Args:
            waits: it will stand in the queue; what is painted already does not.

        Raises:
            Overloaded: there is no place.
        """
        seconds = self.seconds_ahead() if waits else 0.0
        if seconds > self._bound:
            # By then half of what is allowed to wait is left.
            raise Overloaded(f"{seconds:.1f} s of work wait", math.ceil(seconds - self._bound / 2))
        if self.bytes and self.bytes + size > self._max_bytes:
            raise Overloaded("pictures in flight fill the memory set aside for them", self._until_free(size))
        return Lease(self, size)

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Hold a place for something that takes `size` bytes and has to wait for its turn.

        Raises:
            Overloaded: there is none; nothing is held then.
        """
        lease = self.lease(size)
        try:
            yield
        finally:
            lease.end()

    def ended(self, seconds: float) -> None:
        """Learn how long a place was held."""
        self._stay += SMOOTHING * (seconds - self._stay)

    def _until_free(self, size: int) -> int:
        """Predict when `size` bytes are free: all that is in flight has gone after a mean stay."""
        missing = self.bytes + size - self._max_bytes
        return max(1, math.ceil(self._stay * min(1.0, missing / self.bytes)))


class _Job:
    """Some work on its way through a thread. Dropped, it lets go of whatever the work holds."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work

    def run(self) -> tuple[Any, float]:
        """Do it, and time it."""
        work, self._work = self._work, None
        assert work is not None, "it was dropped, which its future forbids to run"
        started = time.perf_counter()
        result = work()
        return result, time.perf_counter() - started

    def drop(self) -> None:
        """Never do it."""
        self._work = None


class Workers:
    """A few threads for what neither the device nor the event loop should wait for: drawing latents and encoding.

    For one event loop; not thread-safe.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="sampling")
        self._count = count
        self._rates: dict[str, float] = {}
        """Seconds per unit of size, by kind of work."""
        self._waiting: Counter[str] = Counter()
        """Units of size handed over and not done, by kind of work."""

    async def run(self, work: Callable[[], T], kind: str = "other", size: int = 1) -> T:
        """Run `work` on one of the threads. Cancelled before it began, it never begins; later, it is waited for.

        Args:
            kind: of work: what takes about as long for the same size.
            size: how much of it this is, such as bytes.
        """
        job = _Job(work)
        self._waiting[kind] += size
        future = self._pool.submit(job.run)
        try:
            result, seconds = await _whole(future)
        except asyncio.CancelledError:
            job.drop()
            raise
        finally:
            self._waiting[kind] -= size
        self._learn(kind, seconds / size)
        return cast(T, result)

    def seconds_ahead(self) -> float:
        """Predict how long something handed over now would wait."""
        return sum(size * self._rates.get(kind, 0.0) for kind, size in self._waiting.items()) / self._count

    def stop(self) -> None:
        """Drop what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _learn(self, kind: str, rate: float) -> None:
        known = self._rates.setdefault(kind, rate)
        self._rates[kind] = known + SMOOTHING * (rate - known)


async def _whole(future: Future[T]) -> T:
    """Wait for a thread's work; when cancelled, still until it is over: what it holds is in memory so long."""
    waited = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waited)
    except asyncio.CancelledError:
        if not future.cancel():
            # Nobody is left to tell of an error.
            await asyncio.gather(waited, return_exceptions=True)
        raise
