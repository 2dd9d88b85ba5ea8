"""Admission control: bounds on the predicted wait ahead of a request and on the bytes of images in flight."""

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
# A wait is predicted from the present throughput, which falls in a crowd: refusing requests takes the same cores. It
# may become longer than predicted by this factor without breaking the bound.
WAIT_MARGIN = 1.4


class Overloaded(Exception):
    """Too much work is waiting.

    Args:
        reason: what exceeds its bound.
        retry_after: whole seconds after which a retry should succeed.
    """

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(f"{reason}; try again in {retry_after} s")
        self.reason = reason
        self.retry_after = retry_after


class Reservation:
    """Memory reserved for a request in flight, in bytes."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size
        self._since = time.monotonic()
        admission.bytes += size

    def shrink(self, size: int) -> None:
        """Release all but `size` bytes."""
        self._admission.bytes -= max(0, self._size - size)
        self._size = min(self._size, size)

    def release(self) -> None:
        """Release everything; idempotent."""
        if self._size:
            self._admission.released(time.monotonic() - self._since)
        self.shrink(0)


class Admission:
    """Admits requests or refuses them. For one event loop; not thread-safe.

    Args:
        seconds_ahead: predicts the wait of a request made now.
        max_seconds: refuse requests that might wait longer than this.
        max_bytes: refuse requests that would bring the bytes in flight above this, unless nothing else is in flight.
    """

    def __init__(self, seconds_ahead: Callable[[], float], *, max_seconds: float, max_bytes: int) -> None:
        self.seconds_ahead = seconds_ahead
        self._bound = max_seconds / WAIT_MARGIN
        self._max_bytes = max_bytes
        # Running mean of the time from reservation to release.
        self._mean_seconds = 1.0
        # Bytes in flight: images, their encoded bodies, and responses until they are sent.
        self.bytes = 0

    def reserve(self, size: int, *, waits: bool = True) -> Reservation:
        """Admit a request that takes `size` bytes.

        Args:
            waits: whether the request will be queued; a cached body is sent at once.

        Raises:
            Overloaded: a bound would be broken.
        """
        # The request's own time does not count: an idle device admits a large request like a small one.
        seconds = self.seconds_ahead() if waits else 0.0
        if seconds > self._bound:
            # By then half of what is allowed to wait is left.
            raise Overloaded(f"{seconds:.1f} s of work wait", math.ceil(seconds - self._bound / 2))
        # With nothing in flight any size is admitted; otherwise a request above the bound could never be served.
        if self.bytes and self.bytes + size > self._max_bytes:
            raise Overloaded("pictures in flight fill the memory set aside for them", self._until_free(size))
        return Reservation(self, size)

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Reserve `size` bytes for a queued request while the block runs.

        Raises:
            Overloaded: a bound would be broken; nothing is reserved then.
        """
        reservation = self.reserve(size)
        try:
            yield
        finally:
            reservation.release()

    def released(self, seconds: float) -> None:
        """Update the mean lifetime of reservations."""
        self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)

    def _until_free(self, size: int) -> int:
        """Predict the whole seconds until `size` bytes are free."""
        missing = self.bytes + size - self._max_bytes
        # Everything in flight now is released within about the mean time, so the missing share takes that share of it.
        return max(1, math.ceil(self._mean_seconds * min(1.0, missing / self.bytes)))


class _Job:
    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work

    def run(self) -> tuple[Any, float]:
        work, self._work = self._work, None
        assert work is not None, "a dropped job's future is cancelled, so it never runs"
        started = time.perf_counter()
        result = work()
        return result, time.perf_counter() - started

    def drop(self) -> None:
        # A cancelled future may live on in the executor's queue: it must not keep the inputs and images alive.
        self._work = None


class ThreadPool:
    """Threads for work that would block the event loop: drawing latents and encoding. Not thread-safe.

    It predicts how long new work would wait.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="sampling")
        self._count = count
        # Seconds per unit of size, by kind of work.
        self._rates: dict[str, float] = {}
        # Units of size submitted and not done, by kind of work.
        self._waiting: Counter[str] = Counter()

    async def run(self, work: Callable[[], T], kind: str = "other", size: int = 1) -> T:
        """Run `work` on one of the threads. Cancellation drops it, or waits for its end if it has begun.

        Args:
            kind: work of one kind takes about as long for the same size.
            size: amount of this work, such as bytes.
        """
        job = _Job(work)
        self._waiting[kind] += size
        future = self._pool.submit(job.run)
        try:
            result, seconds = await _finished(future)
        except asyncio.CancelledError:
            job.drop()
            raise
        finally:
            self._waiting[kind] -= size
        self._learn(kind, seconds / size)
        return cast(T, result)

    def seconds_ahead(self) -> float:
        return sum(size * self._rates.get(kind, 0.0) for kind, size in self._waiting.items()) / self._count

    def stop(self) -> None:
        """Drop pending work and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _learn(self, kind: str, rate: float) -> None:
        known = self._rates.setdefault(kind, rate)
        self._rates[kind] = known + SMOOTHING * (rate - known)


async def _finished(future: Future[T]) -> T:
    waited = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waited)
    except asyncio.CancelledError:
        # Work that has begun cannot be cancelled, and its inputs stay in memory until it ends: the reservation has to
        # last as long.
        if not future.cancel():
            # An error is of no interest any more.
            await asyncio.gather(waited, return_exceptions=True)
        raise
