"""Requests into tiles and back, on one thread per lane. Nothing waits for company: an idle lane runs at once, and
what arrives while all are busy fills the next tiles. It knows neither models nor HTTP; painting is the painter's.

A lane is a GPU, or one thread's worth of the CPU. Several of them share one queue, and so one request's images.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.engine.inputs import Inputs
from app.engine.watch import UNWATCHED, Watch

Pictures = NDArray[np.uint8]
T = TypeVar("T")

CHORE_EVERY = 8
"""While requests wait, a chore (a calibration's or a warm-up's tile) gets its turn after this many tiles."""
TURN = 64
"""Places that a request may take before it goes to the back of the queue, if a tile has no more. Most requests ask for
less and are finished in one turn, whatever comes after them: shared out in smaller turns, a full queue would begin
everything and finish nothing."""
SMOOTHING = 0.2
"""Weight of the newest tile in the running mean of a painter's seconds per tile."""


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


class Lane(Protocol):
    """Something that runs one pass at a time, such as `devices.Lane`."""

    @property
    def name(self) -> str:
        """Tells threads apart."""

    def enter(self) -> None:
        """Prepare the thread that calls this."""


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


class Stopped(RuntimeError):
    """The batcher was stopped before it came to this."""


class Batcher:
    """The lanes' threads and their queue; painters are told a lane by its index."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._wake = threading.Condition()
        self._queue = Queue()
        self._chores: deque[_Chore] = deque()
        self._tiles_since_chore = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(index, lane), name=f"lane {lane.name}", daemon=True)
            for index, lane in enumerate(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, painter: Painting, inputs: Inputs, watch: Watch = UNWATCHED) -> Future[Pictures]:
        """Ask for the images of `inputs`, at least one. Cancel the future to drop them.

        Args:
            watch: is told how they fare; the same for all images of a painter.

        Raises:
            Stopped: the batcher was stopped.
        """
        ticket = Ticket(painter, inputs, watch)
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._queue.add(ticket)
            self._wake.notify()
        return ticket.future

    def chore(self, work: Callable[[int], T], lane: int | None = None) -> T:
        """Run `work`, about one tile long, on a lane's thread when it is idle or its turn comes; wait for it.

        Args:
            work: is given the lane's index.
            lane: the only one that may run it; None for whichever comes first.

        Raises:
            Stopped: the batcher was stopped.
        """
        future: Future[T] = Future()
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._chores.append(_Chore(future, work, lane))
            self._wake.notify_all()
        return future.result()

    def seconds_ahead(self) -> float:
        """Predict how long a request made now would wait for its turn."""
        with self._wake:
            return self._queue.seconds() / len(self._threads)

    def stop(self) -> None:
        """Finish the tiles at hand, fail whoever waits, end the threads; idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        stopped = Stopped("the sampling engine has stopped")
        for ticket in self._queue.clear():
            ticket.fail(stopped)
        while self._chores:
            self._chores.popleft().future.set_exception(stopped)

    def _run(self, index: int, lane: Lane) -> None:
        lane.enter()
        while (job := self._next(index)) is not None:
            job()
            # An idle thread must not keep the last tile's pictures and weights alive.
            del job

    def _next(self, lane: int) -> Callable[[], None] | None:
        since = time.perf_counter()
        with self._wake:
            while not self._stopping:
                if (job := self._job(lane, since)) is not None:
                    return job
                self._wake.wait()
                since = time.perf_counter()
            return None

    def _job(self, lane: int, since: float) -> Callable[[], None] | None:
        if (chore := self._due(lane)) is None:
            if (deal := self._queue.deal()) is not None:
                self._tiles_since_chore += 1
                if self._queue:
                    self._wake.notify()
                return partial(_paint, deal, lane, since)
            # All who waited may have left: then nobody is ahead of a chore any more.
            chore = self._due(lane)
        return None if chore is None else partial(chore.run, lane)

    def _due(self, lane: int) -> _Chore | None:
        """Take the first chore that this lane may run, if nobody waits for a tile or chores have waited long enough."""
        if self._queue and self._tiles_since_chore < CHORE_EVERY:
            return None
        for chore in self._chores:
            if chore.lane in (None, lane):
                self._chores.remove(chore)
                self._tiles_since_chore = 0
                return chore
        return None


class _Chore(NamedTuple):
    future: Future[Any]
    work: Callable[[int], Any]
    lane: int | None

    def run(self, lane: int) -> None:
        try:
            self.future.set_result(self.work(lane))
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits for it
            self.future.set_exception(error)


def _paint(deal: Deal, lane: int, since: float) -> None:
    """Paint a tile.

    Args:
        since: when the lane was free for it: what a tile takes of a lane is more than the pass itself.
    """
    inputs = Inputs.joined([share.inputs for share in deal.shares])
    started = time.perf_counter()
    for ticket, start, _ in deal.shares:
        if start == 0:
            ticket.watch.queued(started - ticket.since)
    try:
        pictures = deal.painter.paint(inputs, lane)
    except BaseException as error:  # noqa: BLE001  # handed to whoever waits for it
        for share in deal.shares:
            share.ticket.fail(error)
        return
    seconds = time.perf_counter() - started
    place = 0
    for ticket, start, part in deal.shares:
        ticket.deliver(start, pictures[place : place + len(part)])
        place += len(part)
    if len(inputs) == deal.painter.tile:
        deal.painter.seconds += SMOOTHING * (time.perf_counter() - since - deal.painter.seconds)
    # After the delivery, so that nobody waits for it.
    deal.shares[0].ticket.watch.painted(len(inputs), deal.painter.places(len(inputs)), seconds)
