"""Single flight: concurrent requests for the same body share one computation of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from app.engine.admission import Reservation


class _Call:
    def __init__(self, reservation: Reservation, work: Coroutine[Any, Any, bytes]) -> None:
        self.waiters = 0
        self.reservation = reservation
        self.task = asyncio.create_task(work)
        self.task.add_done_callback(self._done)

    def leave(self) -> None:
        self.waiters -= 1
        if not self.waiters:
            self.task.cancel()
            self._release()

    def _done(self, task: asyncio.Task[bytes]) -> None:
        # The exception is read even if nobody waits any more: asyncio logs those that nobody has read.
        if not task.cancelled() and task.exception() is None:
            self.reservation.shrink(len(task.result()))
        self._release()

    def _release(self) -> None:
        # A cancelled task may still be in an encoder's thread, and clients may still be reading a finished body.
        if not self.waiters and self.task.done():
            self.reservation.release()


class SingleFlight:
    """Computations in progress by ETag. For one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def __contains__(self, tag: str) -> bool:
        return tag in self._calls

    @contextmanager
    def join(
        self, tag: str, reserve: Callable[[], Reservation], compute: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> Iterator[asyncio.Task[bytes]]:
        """Start computing a body, or join the running computation; it is cancelled when all clients have left.

        Args:
            tag: the body's ETag.
            reserve: reserves the memory that it takes, or raises `Overloaded`; called for the first request only.
            compute: computes the body; called for the first request only.

        Yields:
            The task; its error is raised to all clients. Leave only when the body is sent.
        """
        if (call := self._calls.get(tag)) is None:
            call = self._calls[tag] = _Call(reserve(), compute())
        call.waiters += 1
        try:
            # Until the last client has left, the body's bytes count as in flight.
            yield call.task
        finally:
            call.leave()
            if not call.waiters and self._calls.get(tag) is call:
                del self._calls[tag]
