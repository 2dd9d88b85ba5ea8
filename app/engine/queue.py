"""The request queue: which images go into which slot of which batch, in deficit round robin."""

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

from app.engine.observer import NULL_OBSERVER, Observer
from models.inputs import Inputs

Images = NDArray[np.uint8]

# Slots that a request may take before it goes to the back of the queue, if a batch has no more. Most requests want
# fewer and finish in one quantum, even in a full queue: with a smaller one, a full queue would begin everything
# and finish nothing.
QUANTUM = 64


class BatchRunner(Protocol):
    """Runs batches of one model. Images for the same runner share batches."""

    # Running mean of the time that a full batch takes.
    seconds: float

    @property
    def batch_size(self) -> int:
        """Slots of a full batch."""

    def next_count(self, waiting: int) -> int:
        """Return how many of the waiting images, at least one, the next batch takes."""

    def slots(self, count: int) -> int:
        """Return the slots of the batch in which `count` images, at most `batch_size`, are generated."""

    def run(self, inputs: Inputs, worker: int) -> Images:
        """Generate up to `batch_size` images, uint8 `[k, H, W, C]`; called by that worker's thread alone."""


class QueuedRequest:
    """A queued request for images. Cancelling `future` drops the images that are not generated yet."""

    def __init__(self, runner: BatchRunner, inputs: Inputs, observer: Observer = NULL_OBSERVER) -> None:
        self.runner = runner
        self.inputs = inputs
        self.observer = observer
        self.since = time.perf_counter()
        self.future: Future[Images] = Future()
        # Images that have a slot in a batch.
        self.assigned = 0
        # Place in the queue's order.
        self.position = 0
        # Slots that this request may still take before it goes to the back of the queue.
        self.deficit = quantum(runner)
        self._images: Images = np.empty(0, np.uint8)
        self._missing = len(inputs)
        # Two workers may finish parts of one request at the same time.
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Images that have no slot yet."""
        return len(self.inputs) - self.assigned

    @property
    def wanted(self) -> int:
        """Slots that the request may take before it goes to the back of the queue."""
        return min(self.left, self.deficit)

    def take(self, slots: int) -> Part:
        """Assign the next images, at most `slots` and no more than the deficit allows."""
        size = min(slots, self.wanted)
        part = Part(self, self.assigned, self.inputs.slice(self.assigned, self.assigned + size))
        self.assigned += size
        self.deficit -= size
        return part

    def deliver(self, start: int, images: Images) -> None:
        """Add the images from `start` on; the last part completes the future."""
        # Parts arrive in any order: several workers may run batches of one request.
        with self._lock:
            # The usual case, one batch: no copy.
            if len(images) == len(self.inputs):
                self._images = images
            else:
                if self._missing == len(self.inputs):
                    self._images = np.empty((len(self.inputs), *images.shape[1:]), np.uint8)
                self._images[start : start + len(images)] = images
            self._missing -= len(images)
            if not self._missing and self.future.set_running_or_notify_cancel():
                self.future.set_result(self._images)

    def fail(self, error: BaseException) -> None:
        with self._lock:
            # Another worker may have failed or completed it, or the client cancelled it.
            if not self.future.done() and self.future.set_running_or_notify_cancel():
                self.future.set_exception(error)


class Part(NamedTuple):
    """A request's part of a batch: its images from `start` on."""

    request: QueuedRequest
    start: int
    inputs: Inputs


class Batch(NamedTuple):
    """A runner, and the parts that its batch consists of, in order."""

    runner: BatchRunner
    parts: list[Part]


class Queue:
    """Waiting requests in deficit round robin (Shreedhar and Varghese 1995, doi 10.1145/217382.217453).

    A request of at most one quantum is served in order of arrival; a larger one gets one quantum per round. Free slots
    of a batch go to the next requests for the same runner. Not thread-safe.
    """

    def __init__(self) -> None:
        # Requests by runner, in order; none is empty.
        self._lines: dict[BatchRunner, deque[QueuedRequest]] = {}
        self._positions = count()
        # Both sums are kept up to date, so that no operation depends on the number of waiting requests.
        # Sum of `wanted` over each line.
        self._wanted: Counter[BatchRunner] = Counter()
        # Sum of `left` over each line.
        self._left: Counter[BatchRunner] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, request: QueuedRequest) -> None:
        request.position = next(self._positions)
        self._lines.setdefault(request.runner, deque()).append(request)
        self._count(request, 1)

    def next_batch(self) -> Batch | None:
        """Fill the next batch, without cancelled requests; None if no request waits."""
        while self._lines:
            # The runner of the request that has waited longest.
            runner = min(self._lines, key=lambda runner: self._lines[runner][0].position)
            parts = list(self._fill(runner, self._lines[runner]))
            if not self._lines[runner]:
                # No reference stays: a runner that nobody waits for may be evicted.
                del self._lines[runner], self._wanted[runner], self._left[runner]
            if parts:
                return Batch(runner, parts)
        return None

    def _fill(self, runner: BatchRunner, line: deque[QueuedRequest]) -> Iterator[Part]:
        slots = runner.next_count(self._left[runner])
        while slots and line:
            request = line.popleft()
            self._count(request, -1)
            if request.future.done():
                continue
            yield (part := request.take(slots))
            slots -= len(part.inputs)
            if request.left and request.deficit:
                line.appendleft(request)
                self._count(request, 1)
            elif request.left:
                # It may be reached again in this very batch, if nobody else fills it.
                request.deficit = quantum(runner)
                self.add(request)

    def seconds(self) -> float:
        """Predict the seconds that a new request waits."""
        # The new request comes after one quantum of each waiting one, however large they are.
        return sum(slots / runner.batch_size * runner.seconds for runner, slots in self._wanted.items())

    def clear(self) -> list[QueuedRequest]:
        """Empty the queue; returns the requests that were in it."""
        requests = [request for line in self._lines.values() for request in line]
        self._lines.clear()
        self._wanted.clear()
        self._left.clear()
        return requests

    def _count(self, request: QueuedRequest, sign: int) -> None:
        """Add a request to the sums (`sign` 1), or subtract it before it changes (-1)."""
        self._wanted[request.runner] += sign * request.wanted
        self._left[request.runner] += sign * request.left


def quantum(runner: BatchRunner) -> int:
    return max(QUANTUM, runner.batch_size)
