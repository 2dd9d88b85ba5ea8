"""Admission, and the threads beside the device."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from functools import partial

import numpy as np
import pytest

from app.engine.admission import Admission, Overloaded, ThreadPool


def test_the_wait_ahead_decides_not_the_size_of_the_request() -> None:
    seconds = 7.0
    admission = Admission(lambda: seconds, max_seconds=10, max_bytes=100)
    with admission.admit(1000):
        assert admission.bytes == 1000
    assert admission.bytes == 0
    seconds = 30.0
    with pytest.raises(Overloaded) as refusal:
        admission.reserve(1)
    assert refusal.value.retry_after == 27
    admission.reserve(1, waits=False).release()


def test_bytes_count_until_they_are_given_back() -> None:
    admission = Admission(lambda: 0.0, max_seconds=10, max_bytes=100)
    reservation = admission.reserve(80)
    with pytest.raises(Overloaded) as refusal:
        admission.reserve(30)
    assert refusal.value.retry_after >= 1
    reservation.shrink(60)
    reservation.shrink(70)
    assert admission.bytes == 60
    admission.reserve(40).release()
    for _ in range(2):
        reservation.release()
    assert admission.bytes == 0


def test_work_beside_the_device_is_predicted_by_kind_and_size() -> None:
    async def main() -> None:
        threads = ThreadPool(1)
        release = threading.Event()
        await threads.run(lambda: None, "small", 10)
        threads._rates = {"small": 0.01, "large": 0.5}
        first = asyncio.create_task(threads.run(release.wait, "large", 4))
        second = asyncio.create_task(threads.run(lambda: None, "small", 100))
        await asyncio.sleep(0)
        assert threads.seconds_ahead() == pytest.approx(3.0)
        release.set()
        await asyncio.gather(first, second)
        assert threads.seconds_ahead() == 0
        threads.stop()

    asyncio.run(main())


def test_dropped_work_never_begins_and_holds_no_memory() -> None:
    async def main() -> None:
        threads = ThreadPool(1)
        release = threading.Event()
        running = asyncio.create_task(threads.run(release.wait))
        pixels = np.zeros(10)
        gone = weakref.ref(pixels)
        done: list[float] = []
        dropped = asyncio.create_task(threads.run(partial(lambda held: done.append(held.sum()), pixels)))
        await asyncio.sleep(0)
        dropped.cancel()
        await asyncio.gather(dropped, return_exceptions=True)
        del pixels, dropped
        for _ in range(5):
            # Callbacks of what was cancelled still run, and its traceback is a cycle.
            await asyncio.sleep(0)
            gc.collect()
        held = gone() is not None
        release.set()
        await running
        threads.stop()
        assert not held
        assert done == []

    asyncio.run(main())


def test_cancelled_work_that_has_begun_is_waited_for() -> None:
    async def main() -> None:
        threads = ThreadPool(1)
        began, release = threading.Event(), threading.Event()

        def work() -> None:
            began.set()
            release.wait(60)

        task = asyncio.create_task(threads.run(work))
        assert await asyncio.to_thread(began.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        threads.stop()

    asyncio.run(main())
