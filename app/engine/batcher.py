"""Requests into tiles and back, on one thread per lane. Nothing waits for company: an idle lane runs at once, and
what arrives while all are busy fills the next tiles. It knows neither models nor HTTP; painting is the painter's.

A lane is a GPU, or one thread's worth of the CPU. Several of them share one queue, and so one request's images.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from app.engine.inputs import Inputs
from app.engine.queue import Deal, Painting, Pictures, Queue, Ticket
from app.engine.watch import UNWATCHED, Watch

T = TypeVar("T")

CHORE_EVERY = 8
"""While requests wait, a chore (a calibration's or a warm-up's tile) gets its turn after this many tiles."""
SMOOTHING = 0.2
"""Weight of the newest tile in the running mean of a painter's seconds per tile."""
OUTLIER = 4
"""No tile counts for more than so many times the mean: the machine may have slept in the middle of one."""


class Lane(Protocol):
    """Something that runs one pass at a time, such as `devices.Lane`."""

    @property
    def name(self) -> str:
        """Tells threads apart."""

    def enter(self) -> None:
        """Prepare the thread that calls this."""


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
        took = min(time.perf_counter() - since, OUTLIER * deal.painter.seconds)
        deal.painter.seconds += SMOOTHING * (took - deal.painter.seconds)
    # After the delivery, so that nobody waits for it.
    deal.shares[0].ticket.watch.painted(len(inputs), deal.painter.places(len(inputs)), seconds)
