"""Answers on their way: each is painted once for all who wait for it, and its bytes count until the last has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from app.engine.admission import Lease


class _Flight:
    def __init__(self, lease: Lease, painting: Coroutine[Any, Any, bytes]) -> None:
        self.waiters = 0
        self.lease = lease
        self.task = asyncio.create_task(painting)
        self.task.add_done_callback(self._painted)

    def leave(self) -> None:
        """Let one waiter go; without the last there is nothing left to paint for."""
        self.waiters -= 1
        if not self.waiters:
            self.task.cancel()
            self._settle()

    def _painted(self, task: asyncio.Task[bytes]) -> None:
        # Asked for even if nobody waits any more: asyncio complains of errors that nobody looked at.
        if not task.cancelled() and task.exception() is None:
            self.lease.lower(len(task.result()))
        self._settle()

    def _settle(self) -> None:
        if not self.waiters and self.task.done():
            self.lease.end()


class Flights:
    """The answers that are painted or sent. For one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    def __contains__(self, tag: str) -> bool:
        """Tell whether somebody waits for an answer of this tag."""
        return tag in self._flights

    @contextmanager
    def joined(
        self, tag: str, lease: Callable[[], Lease], paint: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> Iterator[asyncio.Task[bytes]]:
        """Wait for an answer together with everybody else who does; it is cancelled when all have left.

        Args:
            tag: names the answer's bytes.
            lease: takes the memory that painting needs, for the first who waits; may raise `Overloaded`.
            paint: begins to paint, for the first who waits.

        Yields:
            The painting, whose error is everybody's. Stay until the answer is sent: its bytes count so long.
        """
        if (flight := self._flights.get(tag)) is None:
            flight = self._flights[tag] = _Flight(lease(), paint())
        flight.waiters += 1
        try:
            yield flight.task
        finally:
            flight.leave()
            if not flight.waiters and self._flights.get(tag) is flight:
                del self._flights[tag]
