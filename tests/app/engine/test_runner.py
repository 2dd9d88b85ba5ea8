"""Padding, and the choice among batch sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.engine.network import Network, Numerics
from app.engine.runner import Runner
from models.config.networks import GeneratorConfig
from models.inputs import Inputs
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, random_inputs, tiny_generator

CPU = torch.device("cpu")


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL])
def test_padding_leaves_no_trace(config: GeneratorConfig) -> None:
    network = Network(tiny_generator(config, 3), CPU, Numerics(), 16)
    runner = Runner([network], (16,), 1.0, "numerics")
    inputs = random_inputs(config, 16)
    whole = runner.run(inputs, 0)
    for count in (1, 5, 15):
        assert np.array_equal(runner.run(inputs.slice(0, count), 0), whole[:count])


def test_the_smallest_batch_that_holds_a_request_is_taken() -> None:
    class Noting(Network):
        def generate(self, inputs: Inputs, size: int) -> np.ndarray:
            sizes.append(size)
            return super().generate(inputs, size)

    sizes: list[int] = []
    runner = Runner([Noting(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)], (1, 4, 16), 1.0, "numerics")
    for count in (1, 2, 4, 5, 16):
        runner.run(random_inputs(TINY_MLP, count), 0)
    assert sizes == [1, 4, 4, 16, 16]


def test_workers_on_one_device_share_one_network() -> None:
    network = Network(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)
    assert Runner([network, network], (16,), 1.0, "numerics").bytes == network.bytes


def test_a_slow_batch_does_not_run_half_empty() -> None:
    runner = Runner(
        [Network(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)], (1, 16, 32, 64, 128), 0.004, "numerics"
    )
    taken = {waiting: runner.next_count(waiting) for waiting in (1, 9, 25, 40, 48, 70, 100, 128, 500)}
    slow = Runner(runner.networks, (1, 2, 4, 8, 16), 0.02, "numerics")
    assert [slow.next_count(waiting) for waiting in (1, 3, 5, 9, 12, 25)] == [1, 3, 4, 8, 12, 16]
    sparse = Runner(runner.networks, (1, 64), 1.0, "numerics")
    assert [sparse.next_count(waiting) for waiting in (1, 10, 100)] == [1, 10, 64]
    assert taken == {1: 1, 9: 9, 25: 25, 40: 32, 48: 48, 70: 64, 100: 100, 128: 128, 500: 128}
