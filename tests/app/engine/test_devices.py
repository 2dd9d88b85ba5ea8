"""Devices by name, and their workers."""

from __future__ import annotations

import threading

import pytest
import torch

from app.engine.devices import choose_devices, worker_threads


def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match='ATELIER_DEVICE is "quantum"'):
        choose_devices("quantum")
    assert choose_devices("cpu") == [torch.device("cpu")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_cpu_generates_unless_a_gpu_is_requested() -> None:
    assert choose_devices("auto") == [torch.device("cpu")]
    with pytest.raises(ValueError, match='ATELIER_DEVICE is "cuda"'):
        choose_devices("cuda")


def test_a_device_named_twice_is_one() -> None:
    assert choose_devices("cpu, cpu") == [torch.device("cpu")]


def test_the_cpu_has_a_worker_per_thread_and_a_gpu_one() -> None:
    assert [worker.name for worker in worker_threads([torch.device("cpu")], 3)] == [
        f"cpu thread {index}" for index in range(3)
    ]
    gpus = [torch.device("cuda", index) for index in range(2)]
    assert [worker.device for worker in worker_threads(gpus, 3)] == gpus


def test_a_worker_of_the_cpu_computes_on_its_own_thread_alone() -> None:
    found: list[int] = []

    def work() -> None:
        worker_threads([torch.device("cpu")], 2)[1].enter()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]
