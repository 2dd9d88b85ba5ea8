"""Slots in batches, cancelled requests, background jobs."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest
import torch

from app.engine.batcher import BACKGROUND_EVERY, Batcher, Stopped
from app.engine.devices import worker_threads
from app.engine.queue import QUANTUM, Images, Queue, QueuedRequest
from models.inputs import Inputs
from tests.fixtures.waiting import until

WORKERS = worker_threads([torch.device("cpu")], 1)


class Echo:
    """A runner whose images hold their latent's first value, and which can be blocked."""

    seconds = 0.25

    def __init__(self, batch_size: int = 8) -> None:
        self.batch_size = batch_size
        self.go = threading.Event()
        self.go.set()
        self.running = threading.Event()
        self.batches: list[list[int]] = []

    def next_count(self, waiting: int) -> int:
        return min(waiting, self.batch_size)

    def slots(self, count: int) -> int:
        return self.batch_size

    def run(self, inputs: Inputs, worker: int) -> Images:
        self.running.set()
        assert self.go.wait(30)
        self.batches.append([int(value) for value in inputs["z"][:, 0]])
        return inputs["z"][:, :1].astype(np.uint8).reshape(-1, 1, 1, 1)


def latents_of(*values: int) -> Inputs:
    return Inputs({"z": np.array(values, np.float32)[:, None]})


def batches(queue: Queue) -> list[list[int]]:
    taken = []
    while (batch := queue.next_batch()) is not None:
        taken.append([int(value) for part in batch.parts for value in part.inputs["z"][:, 0]])
    return taken


def values(future: Future[Images]) -> list[int]:
    return [int(value) for value in future.result(30).ravel()]


def test_the_predicted_wait_is_one_quantum_of_everybody_whoever_waits_and_is_dropped() -> None:
    queue, one, other = Queue(), Echo(batch_size=8), Echo(batch_size=2)
    requests = [QueuedRequest(one, latents_of(*range(n))) for n in (3, 20, 5)] + [
        QueuedRequest(other, latents_of(1, 2, 3))
    ]
    for request in requests:
        queue.add(request)
    while len(queue):
        line = [request for line in queue._lines.values() for request in line]
        expected = sum(min(t.left, t.deficit) / t.runner.batch_size * t.runner.seconds for t in line)
        assert queue.seconds() == pytest.approx(expected)
        queue.next_batch()
        requests[2].future.cancel()
    assert queue.seconds() == 0
    assert not queue._wanted


def test_a_batch_is_filled_from_several_requests_in_order() -> None:
    queue, runner = Queue(), Echo()
    for start, count in ((10, 3), (20, 4), (30, 5)):
        queue.add(QueuedRequest(runner, latents_of(*range(start, start + count))))
    assert batches(queue) == [[10, 11, 12, 20, 21, 22, 23, 30], [31, 32, 33, 34]]


def test_a_large_request_takes_turns_with_those_that_came_later() -> None:
    queue, runner = Queue(), Echo(batch_size=QUANTUM // 2)
    large = list(range(QUANTUM * 2 + 1))
    queue.add(QueuedRequest(runner, latents_of(*large)))
    queue.add(QueuedRequest(runner, latents_of(1001, 1002, 1003)))
    taken = batches(queue)
    assert [value for batch in taken for value in batch] == [*large[:QUANTUM], 1001, 1002, 1003, *large[QUANTUM:]]
    assert [len(batch) for batch in taken] == [QUANTUM // 2] * 4 + [4]


def test_a_request_of_one_quantum_is_finished_before_those_that_came_later() -> None:
    queue, runner = Queue(), Echo(batch_size=4)
    for start in (0, 100, 200):
        queue.add(QueuedRequest(runner, latents_of(*range(start, start + 25))))
    taken = [value for batch in batches(queue) for value in batch]
    assert taken == [*range(25), *range(100, 125), *range(200, 225)]


def test_small_requests_are_served_in_order_of_arrival_however_many_wait() -> None:
    queue, runner = Queue(), Echo(batch_size=4)
    for start in range(0, 90, 3):
        queue.add(QueuedRequest(runner, latents_of(start, start + 1, start + 2)))
    assert [value for batch in batches(queue) for value in batch] == list(range(90))


def test_runners_take_turns() -> None:
    queue, one, other = Queue(), Echo(batch_size=2), Echo(batch_size=2)
    queue.add(QueuedRequest(one, latents_of(*range(QUANTUM + 2))))
    queue.add(QueuedRequest(other, latents_of(*range(1000, 1000 + QUANTUM + 2))))
    taken = [value for batch in batches(queue) for value in batch]
    assert taken == [
        *range(QUANTUM),
        *range(1000, 1000 + QUANTUM),
        QUANTUM,
        QUANTUM + 1,
        1000 + QUANTUM,
        1001 + QUANTUM,
    ]


def test_the_wait_of_a_new_request_is_one_quantum_of_everybody() -> None:
    queue, runner = Queue(), Echo(batch_size=8)
    assert queue.seconds() == 0
    queue.add(QueuedRequest(runner, latents_of(*range(800))))
    queue.add(QueuedRequest(runner, latents_of(1, 2)))
    assert queue.seconds() == pytest.approx(0.25 * QUANTUM / 8 + 0.25 * 2 / 8)


def test_images_come_back_to_their_own_request_in_order() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=4)
    futures = [batcher.submit(runner, latents_of(*range(n))) for n in (1, 9, 2, 30, 4, 1)]
    assert [values(future) for future in futures] == [list(range(n)) for n in (1, 9, 2, 30, 4, 1)]
    batcher.stop()


def test_an_idle_device_runs_at_once_and_what_arrives_meanwhile_shares_a_batch() -> None:
    batcher, runner = Batcher(WORKERS), Echo()
    runner.go.clear()
    first = batcher.submit(runner, latents_of(1))
    assert runner.running.wait(30)
    others = [batcher.submit(runner, latents_of(n)) for n in (2, 3, 4)]
    runner.go.set()
    assert [values(f) for f in (first, *others)] == [[1], [2], [3], [4]]
    assert runner.batches == [[1], [2, 3, 4]]
    batcher.stop()


def test_a_cancelled_request_is_not_generated_further() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=2)
    runner.go.clear()
    left = batcher.submit(runner, latents_of(*range(10)))
    assert runner.running.wait(30)
    stays = batcher.submit(runner, latents_of(77))
    assert left.cancel()
    runner.go.set()
    assert values(stays) == [77]
    assert runner.batches == [[0, 1], [77]]
    with pytest.raises(CancelledError):
        left.result()
    batcher.stop()


def test_a_failing_batch_fails_those_in_it_and_nobody_else() -> None:
    class Failing(Echo):
        def run(self, inputs: Inputs, worker: int) -> Images:
            raise MemoryError("no memory for the batch")

    batcher, runner = Batcher(WORKERS), Echo()
    bad = batcher.submit(Failing(batch_size=2), latents_of(1, 2, 3, 4, 5))
    good = batcher.submit(runner, latents_of(6))
    with pytest.raises(MemoryError, match="no memory"):
        bad.result(30)
    assert values(good) == [6]
    batcher.stop()


def test_a_background_job_waits_for_requests_but_not_for_ever() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=1)
    runner.go.clear()
    batcher.submit(runner, latents_of(0))
    assert runner.running.wait(30)
    done: list[int] = []
    job = threading.Thread(target=lambda: batcher.run_background(lambda _: done.append(len(runner.batches))))
    job.start()
    until(lambda: batcher._jobs, "the job to wait")
    last = batcher.submit(runner, latents_of(*range(30)))
    runner.go.set()
    last.result(30)
    job.join(30)
    assert done == [BACKGROUND_EVERY]
    batcher.stop()


def test_a_background_job_is_done_when_all_who_waited_have_left() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=1)
    runner.go.clear()
    batcher.submit(runner, latents_of(0))
    assert runner.running.wait(30)
    leaving = [batcher.submit(runner, latents_of(1, 2)) for _ in range(3)]
    job = threading.Thread(target=lambda: batcher.run_background(lambda _: None))
    job.start()
    until(lambda: batcher._jobs, "the job to wait")
    for future in leaving:
        future.cancel()
    runner.go.set()
    job.join(30)
    assert not job.is_alive()
    assert batcher.seconds_ahead() == 0
    batcher.stop()


def test_a_background_job_passes_on_result_and_error() -> None:
    batcher = Batcher(WORKERS)
    assert batcher.run_background(lambda _: 42) == 42
    with pytest.raises(ZeroDivisionError):
        batcher.run_background(lambda _: 1 // 0)
    batcher.stop()


def test_stopping_fails_who_still_waits_and_refuses_newcomers() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=1)
    runner.go.clear()
    waiting = batcher.submit(runner, latents_of(1, 2))
    assert runner.running.wait(30)
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    runner.go.set()
    stopping.join(30)
    with pytest.raises(Stopped):
        waiting.result(30)
    with pytest.raises(Stopped):
        batcher.submit(runner, latents_of(3))
    with pytest.raises(Stopped):
        batcher.run_background(lambda _: None)


def test_a_batch_during_which_the_machine_slept_is_no_measure_of_the_next() -> None:
    batcher, runner = Batcher(WORKERS), Echo(batch_size=1)
    runner.seconds = 1e-9
    batcher.submit(runner, latents_of(1)).result(30)
    until(lambda: runner.seconds > 1e-9, "the batch to count")
    assert runner.seconds <= 2e-9
    batcher.stop()
