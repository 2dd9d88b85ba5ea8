"""Requests into tiles and back, on one thread per device. Nothing waits for company: an idle device runs at once, and
what arrives while it is busy fills the next tile. It knows neither models nor HTTP; painting is the painter's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.engine.inputs import Inputs

Pictures = NDArray[np.uint8]
T = TypeVar("T")

CHORE_EVERY = 8
"""While requests wait, a chore (a calibration's or a warm-up's tile) gets its turn after this many tiles."""
SMOOTHING = 0.2
"""Weight of the newest tile in the running mean of a painter's seconds per tile."""


class Painting(Protocol):
    """What can be batched; images of the same painter share tiles."""

    seconds: float

    @property
    def tile(self) -> int:
        """Images in a full tile."""

    def paint(self, inputs: Inputs) -> Pictures:
        """Paint up to `tile` images as uint8 `[k, H, W, C]`."""


class Ticket:
    """Some images that somebody waits for. Cancelling `future` drops what is not painted yet."""

    def __init__(self, painter: Painting, inputs: Inputs) -> None:
        self.painter = painter
        self.inputs = inputs
        self.future: Future[Pictures] = Future()
        self.dealt = 0
        """Images that were given a place in a tile."""
        self.turn = painter.tile
        """Places this ticket may still take before it goes to the back of the queue."""
        self._parts: list[Pictures] = []
        self._delivered = 0

    @property
    def left(self) -> int:
        """Images that have no place in a tile yet."""
        return len(self.inputs) - self.dealt

    def take(self, places: int) -> Inputs:
        """Deal the next images, at most `places` and no more than this turn allows."""
        count = min(places, self.left, self.turn)
        part = self.inputs.part(self.dealt, self.dealt + count)
        self.dealt += count
        self.turn -= count
        return part

    def deliver(self, pictures: Pictures) -> None:
        """Hand over the next images, in order; the last ones complete the future."""
        self._parts.append(pictures)
        self._delivered += len(pictures)
        if self._delivered == len(self.inputs) and self.future.set_running_or_notify_cancel():
            whole = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
            self.future.set_result(whole)

    def fail(self, error: BaseException) -> None:
        """End with an error, unless it ended before."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Deal(NamedTuple):
    """One tile: a painter and whose images it holds, in order."""

    painter: Painting
    shares: list[tuple[Ticket, Inputs]]


class Queue:
    """Tickets in the order of their turns: deficit round robin, a turn being as many places as a full tile has.

    A request of at most one tile is therefore painted when its turn comes, in order of arrival, and a large one gets
    one tile's worth per round, however large it is. Places that a tile has left go to the next tickets in line of
    the same painter. Not thread-safe.
    """

    def __init__(self) -> None:
        self._line: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, ticket: Ticket) -> None:
        """Put a ticket at the back."""
        self._line.append(ticket)

    def deal(self) -> Deal | None:
        """Fill the next tile; None if nobody waits. Tickets whose client left are dropped."""
        line = deque(ticket for ticket in self._line if not ticket.future.done())
        self._line = deque()
        if not line:
            return None
        deal = Deal(line[0].painter, [])
        places = deal.painter.tile
        while places and line:
            ticket = line.popleft()
            if ticket.painter is not deal.painter:
                self._line.append(ticket)
                continue
            deal.shares.append((ticket, part := ticket.take(places)))
            places -= len(part)
            if ticket.left and ticket.turn:
                self._line.append(ticket)
            elif ticket.left:
                # It may come round again in this very tile, if nobody else fills it.
                ticket.turn = ticket.painter.tile
                line.append(ticket)
        self._line += line
        return deal

    def seconds(self) -> float:
        """Predict the wait of a newcomer: one turn of everybody in line, however much more they asked for."""
        return sum(min(t.left, t.turn) / t.painter.tile * t.painter.seconds for t in self._line)

    def clear(self) -> list[Ticket]:
        """Empty the line and give those who stood in it."""
        tickets, self._line = list(self._line), deque()
        return tickets


class Stopped(RuntimeError):
    """The batcher was stopped before it came to this."""


class Batcher:
    """A device's thread and its queue."""

    def __init__(self, name: str) -> None:
        self._wake = threading.Condition()
        self._queue = Queue()
        self._chores: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._tiles_since_chore = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"device {name}", daemon=True)
        self._thread.start()

    def submit(self, painter: Painting, inputs: Inputs) -> Future[Pictures]:
        """Ask for the images of `inputs`, at least one. Cancel the future to drop them.

        Raises:
            Stopped: the batcher was stopped.
        """
        ticket = Ticket(painter, inputs)
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._queue.add(ticket)
            self._wake.notify()
        return ticket.future

    def chore(self, work: Callable[[], T]) -> T:
        """Run `work`, about one tile long, on the device's thread when it is idle or its turn comes; wait for it.

        Raises:
            Stopped: the batcher was stopped.
        """
        future: Future[T] = Future()
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._chores.append((future, work))
            self._wake.notify()
        return future.result()

    def seconds_ahead(self) -> float:
        """Predict how long a request made now would wait for its turn."""
        with self._wake:
            return self._queue.seconds()

    def stop(self) -> None:
        """Finish the tile at hand, fail whoever waits, end the thread; idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        stopped = Stopped("the sampling engine has stopped")
        for ticket in self._queue.clear():
            ticket.fail(stopped)
        while self._chores:
            self._chores.popleft()[0].set_exception(stopped)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            # An idle thread must not keep the last tile's pictures and weights alive.
            del job

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            while not self._stopping:
                if self._chores and (not len(self._queue) or self._tiles_since_chore >= CHORE_EVERY):
                    self._tiles_since_chore = 0
                    future, work = self._chores.popleft()
                    return lambda: _fulfil(future, work)
                if (deal := self._queue.deal()) is not None:
                    self._tiles_since_chore += 1
                    return lambda: _paint(deal)
                if not self._chores:
                    self._wake.wait()
            return None


def _fulfil(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  # handed to whoever waits for it
        future.set_exception(error)


def _paint(deal: Deal) -> None:
    parts = [part for _, part in deal.shares]
    started = time.perf_counter()
    try:
        pictures = deal.painter.paint(Inputs.joined(parts))
    except BaseException as error:  # noqa: BLE001  # handed to whoever waits for it
        for ticket, _ in deal.shares:
            ticket.fail(error)
        return
    if sum(map(len, parts)) == deal.painter.tile:
        deal.painter.seconds += SMOOTHING * (time.perf_counter() - started - deal.painter.seconds)
    place = 0
    for ticket, part in deal.shares:
        ticket.deliver(pictures[place : place + len(part)])
        place += len(part)
