"""Who gets which place in which tile: requests in the order of their turns. `batcher` has it painted."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.engine.inputs import Inputs
from app.engine.watch import UNWATCHED, Watch

Pictures = NDArray[np.uint8]

TURN = 64
"""Places that a request may take before it goes to the back of the queue, if a tile has no more. Most requests ask for
less and are finished in one turn, whatever comes after them: shared out in smaller turns, a full queue would begin
everything and finish nothing."""


class Painting(Protocol):
    """What can be batched; images of the same painter share tiles."""

    seconds: float

    @property
    def tile(self) -> int:
        """Images in a full tile."""

    def share(self, waiting: int) -> int:
        """Say how many of the images that wait, at least one, the next tile takes."""

    def places(self, count: int) -> int:
        """Say how many places the tile has in which `count` images, at most `tile`, are painted."""

    def paint(self, inputs: Inputs, lane: int) -> Pictures:
        """Paint up to `tile` images on a lane, as uint8 `[k, H, W, C]`; called by that lane's thread alone."""


class Ticket:
    """Some images that somebody waits for. Cancelling `future` drops what is not painted yet."""

    def __init__(self, painter: Painting, inputs: Inputs, watch: Watch = UNWATCHED) -> None:
        self.painter = painter
        self.inputs = inputs
        self.watch = watch
        self.since = time.perf_counter()
        self.future: Future[Pictures] = Future()
        self.dealt = 0
        """Images that were given a place in a tile."""
        self.number = 0
        """Its place in the order of turns."""
        self.turn = turn(painter)
        """Places this ticket may still take before it goes to the back of the queue."""
        self._pictures: Pictures = np.empty(0, np.uint8)
        self._missing = len(inputs)
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Images that have no place in a tile yet."""
        return len(self.inputs) - self.dealt

    @property
    def wanted(self) -> int:
        """Places that this turn still takes."""
        return min(self.left, self.turn)

    def take(self, places: int) -> Share:
        """Deal the next images, at most `places` and no more than this turn allows."""
        count = min(places, self.wanted)
        share = Share(self, self.dealt, self.inputs.part(self.dealt, self.dealt + count))
        self.dealt += count
        self.turn -= count
        return share

    def deliver(self, start: int, pictures: Pictures) -> None:
        """Hand over the images from `start` on; the last ones to come, in whatever order, complete the future."""
        with self._lock:
            if len(pictures) == len(self.inputs):
                self._pictures = pictures
            else:
                if self._missing == len(self.inputs):
                    self._pictures = np.empty((len(self.inputs), *pictures.shape[1:]), np.uint8)
                self._pictures[start : start + len(pictures)] = pictures
            self._missing -= len(pictures)
            if not self._missing and self.future.set_running_or_notify_cancel():
                self.future.set_result(self._pictures)

    def fail(self, error: BaseException) -> None:
        """End with an error, unless it ended before."""
        with self._lock:
            if not self.future.done() and self.future.set_running_or_notify_cancel():
                self.future.set_exception(error)


class Share(NamedTuple):
    """A ticket's part of a tile: its images from `start` on."""

    ticket: Ticket
    start: int
    inputs: Inputs


class Deal(NamedTuple):
    """One tile: a painter and whose images it holds, in order."""

    painter: Painting
    shares: list[Share]


class Queue:
    """Tickets in the order of their turns: deficit round robin, in turns of `TURN` places or a full tile.

    A request of at most one turn is therefore painted when its turn comes, in order of arrival, and a large one gets
    one turn per round, however large it is. Places that a tile has left go to the next tickets of the same painter.
    However many wait, everything takes the same time. Not thread-safe.
    """

    def __init__(self) -> None:
        self._lines: dict[Painting, deque[Ticket]] = {}
        """By painter, in the order of their turns; none is empty."""
        self._turns = count()
        self._wanted: Counter[Painting] = Counter()
        """Places that this turn takes of everybody in line, by painter."""
        self._left: Counter[Painting] = Counter()
        """Images that everybody in line still waits for, by painter."""

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, ticket: Ticket) -> None:
        """Put a ticket at the back."""
        ticket.number = next(self._turns)
        self._lines.setdefault(ticket.painter, deque()).append(ticket)
        self._count(ticket, 1)

    def deal(self) -> Deal | None:
        """Fill the next tile; None if nobody waits. Tickets in the way whose client left are dropped."""
        while self._lines:
            # Whose turn it is: that of the ticket that has stood in line for longest, whoever paints it.
            painter = min(self._lines, key=lambda painter: self._lines[painter][0].number)
            shares = list(self._shares(painter, self._lines[painter]))
            if not self._lines[painter]:
                # A painter that nobody waits for may be evicted.
                del self._lines[painter], self._wanted[painter], self._left[painter]
            if shares:
                return Deal(painter, shares)
        return None

    def _shares(self, painter: Painting, line: deque[Ticket]) -> Iterator[Share]:
        """Take a tile's worth from a painter's line."""
        places = painter.share(self._left[painter])
        while places and line:
            ticket = line.popleft()
            self._count(ticket, -1)
            if ticket.future.done():
                continue
            yield (share := ticket.take(places))
            places -= len(share.inputs)
            if ticket.left and ticket.turn:
                line.appendleft(ticket)
                self._count(ticket, 1)
            elif ticket.left:
                # It may come round again in this very tile, if nobody else fills it.
                ticket.turn = turn(painter)
                self.add(ticket)

    def seconds(self) -> float:
        """Predict the wait of a newcomer: one turn of everybody in line, however much more they asked for."""
        return sum(places / painter.tile * painter.seconds for painter, places in self._wanted.items())

    def clear(self) -> list[Ticket]:
        """Empty the line and give those who stood in it."""
        tickets = [ticket for line in self._lines.values() for ticket in line]
        self._lines.clear()
        self._wanted.clear()
        self._left.clear()
        return tickets

    def _count(self, ticket: Ticket, sign: int) -> None:
        """Add a ticket to the sums, or take it out before it changes."""
        self._wanted[ticket.painter] += sign * ticket.wanted
        self._left[ticket.painter] += sign * ticket.left


def turn(painter: Painting) -> int:
    """Give the places that a request may take before it goes to the back of the queue."""
    return max(TURN, painter.tile)
