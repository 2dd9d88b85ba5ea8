"""Padding, and the choice among tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.engine.inputs import Inputs
from app.engine.network import Network, Numerics
from app.engine.tile import Painter
from models.config.networks import GeneratorConfig
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, random_inputs, tiny_generator

CPU = torch.device("cpu")


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL])
def test_padding_leaves_no_trace(config: GeneratorConfig) -> None:
    network = Network(tiny_generator(config, 3), CPU, Numerics(), 16)
    painter = Painter([network], (16,), 1.0)
    inputs = random_inputs(config, 16)
    whole = painter.paint(inputs, 0)
    for count in (1, 5, 15):
        assert np.array_equal(painter.paint(inputs.part(0, count), 0), whole[:count])


def test_the_smallest_tile_that_holds_a_request_is_taken() -> None:
    class Noting(Network):
        def pictures(self, inputs: Inputs, size: int) -> np.ndarray:
            sizes.append(size)
            return super().pictures(inputs, size)

    sizes: list[int] = []
    painter = Painter([Noting(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)], (1, 4, 16), 1.0)
    for count in (1, 2, 4, 5, 16):
        painter.paint(random_inputs(TINY_MLP, count), 0)
    assert sizes == [1, 4, 4, 16, 16]


def test_lanes_on_one_device_share_one_network() -> None:
    network = Network(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)
    assert Painter([network, network], (16,), 1.0).bytes == network.bytes


def test_a_slow_tile_is_not_painted_half_empty() -> None:
    painter = Painter([Network(tiny_generator(TINY_MLP, 3), CPU, Numerics(), 16)], (1, 16, 32, 64, 128), 0.004)
    taken = {waiting: painter.share(waiting) for waiting in (1, 9, 25, 40, 48, 70, 100, 128, 500)}
    slow = Painter(painter.networks, (1, 2, 4, 8, 16), 0.02)
    assert [slow.share(waiting) for waiting in (1, 3, 5, 9, 12, 25)] == [1, 3, 4, 8, 12, 16]
    sparse = Painter(painter.networks, (1, 64), 1.0)
    assert [sparse.share(waiting) for waiting in (1, 10, 100)] == [1, 10, 64]
    assert taken == {1: 1, 9: 9, 25: 25, 40: 32, 48: 48, 70: 64, 100: 100, 128: 128, 500: 128}
