"""Dynamic batching: one thread per worker fills batches from the queue. It knows neither models nor HTTP.

There is no waiting time: an idle worker runs at once, and what arrives while all are busy fills the next batches. A
worker is a GPU, or one thread's worth of the CPU. All share one queue, and so the images of one request.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from app.engine.observer import NULL_OBSERVER, Observer
from app.engine.queue import Batch, BatchRunner, Images, Queue, QueuedRequest
from models.inputs import Inputs

T = TypeVar("T")

# While requests wait, a background job (one pass of a calibration or warm-up) runs after this many batches.
BACKGROUND_EVERY = 8
# Weight of the newest batch in the running mean of a runner's seconds per batch.
SMOOTHING = 0.2
# No batch counts for more than this many times the mean: the machine may have slept in the middle of one.
MAX_OUTLIER = 4


class Worker(Protocol):
    """Runs one pass at a time; `devices.WorkerThread`."""

    @property
    def name(self) -> str: ...

    def enter(self) -> None:
        """Prepare the calling thread."""


class Stopped(RuntimeError):
    """The batcher was stopped before this was done."""


class Batcher:
    """The workers' threads and their queue. Runners and jobs receive a worker's index."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._wake = threading.Condition()
        self._queue = Queue()
        self._jobs: deque[_BackgroundJob] = deque()
        self._batches_since_job = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(index, worker), name=f"worker {worker.name}", daemon=True)
            for index, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, runner: BatchRunner, inputs: Inputs, observer: Observer = NULL_OBSERVER) -> Future[Images]:
        """Queue at least one image. Cancel the future to drop it.

        Args:
            observer: of the model; the same for all images of a runner.

        Raises:
            Stopped: the batcher was stopped.
        """
        request = QueuedRequest(runner, inputs, observer)
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._queue.add(request)
            self._wake.notify()
        return request.future

    def run_background(self, work: Callable[[int], T], worker: int | None = None) -> T:
        """Run `work`, about as long as a batch, on an idle worker or in its turn; returns its result.

        Args:
            work: receives the worker's index.
            worker: the only one that may run it; None for any.

        Raises:
            Stopped: the batcher was stopped.
        """
        future: Future[T] = Future()
        with self._wake:
            if self._stopping:
                raise Stopped("the sampling engine has stopped")
            self._jobs.append(_BackgroundJob(future, work, worker))
            # All of them: the one that is notified may not be the one that may run it.
            self._wake.notify_all()
        return future.result()

    def seconds_ahead(self) -> float:
        """Predict how long a request made now would wait for its first slot."""
        with self._wake:
            return self._queue.seconds() / len(self._threads)

    def stop(self) -> None:
        """Finish the batches that are running, fail all that wait, end the threads; idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        stopped = Stopped("the sampling engine has stopped")
        for request in self._queue.clear():
            request.fail(stopped)
        while self._jobs:
            self._jobs.popleft().future.set_exception(stopped)

    def _run(self, index: int, worker: Worker) -> None:
        worker.enter()
        while (work := self._next(index)) is not None:
            work()
            # An idle thread must not keep the last batch's images and weights alive.
            del work

    def _next(self, worker: int) -> Callable[[], None] | None:
        since = time.perf_counter()
        with self._wake:
            while not self._stopping:
                if (work := self._choose(worker, since)) is not None:
                    return work
                self._wake.wait()
                since = time.perf_counter()
            return None

    def _choose(self, worker: int, since: float) -> Callable[[], None] | None:
        if (job := self._due_job(worker)) is None:
            if (batch := self._queue.next_batch()) is not None:
                self._batches_since_job += 1
                if self._queue:
                    self._wake.notify()
                return partial(_run_batch, batch, worker, since)
            # All waiting requests may have been cancelled: then nothing is ahead of a job any more.
            job = self._due_job(worker)
        return None if job is None else partial(job.run, worker)

    def _due_job(self, worker: int) -> _BackgroundJob | None:
        """Take the first job that this worker may run, if no request waits or jobs have waited long enough."""
        if self._queue and self._batches_since_job < BACKGROUND_EVERY:
            return None
        for job in self._jobs:
            if job.worker in (None, worker):
                self._jobs.remove(job)
                self._batches_since_job = 0
                return job
        return None


class _BackgroundJob(NamedTuple):
    future: Future[Any]
    work: Callable[[int], Any]
    worker: int | None

    def run(self, worker: int) -> None:
        try:
            self.future.set_result(self.work(worker))
        except BaseException as error:  # noqa: BLE001  # raised where its result is awaited
            self.future.set_exception(error)


def _run_batch(batch: Batch, worker: int, since: float) -> None:
    """Run a batch and deliver its images.

    Args:
        since: when the worker was free for it: a batch takes more of a worker's time than the pass itself.
    """
    inputs = Inputs.concatenate([part.inputs for part in batch.parts])
    started = time.perf_counter()
    for request, start, _ in batch.parts:
        if start == 0:
            request.observer.queued(started - request.since)
    try:
        images = batch.runner.run(inputs, worker)
    except BaseException as error:  # noqa: BLE001  # raised where the images are awaited
        for part in batch.parts:
            part.request.fail(error)
        return
    seconds = time.perf_counter() - started
    slot = 0
    for request, start, part_inputs in batch.parts:
        request.deliver(start, images[slot : slot + len(part_inputs)])
        slot += len(part_inputs)
    if len(inputs) == batch.runner.batch_size:
        took = min(time.perf_counter() - since, MAX_OUTLIER * batch.runner.seconds)
        batch.runner.seconds += SMOOTHING * (took - batch.runner.seconds)
    # After the delivery, so that nobody waits for it.
    batch.parts[0].request.observer.generated(len(inputs), batch.runner.slots(len(inputs)), seconds)
