"""Images of a generator in each numerics, against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.engine.network import PLAIN, Network, Numerics, candidates
from models.config.networks import GeneratorConfig
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, expected, random_inputs, tiny_generator

CPU = torch.device("cpu")
CONFIGS = [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL]


def on_cpu() -> list[tuple[GeneratorConfig, Numerics]]:
    return [(config, each) for config in CONFIGS for each in candidates(tiny_generator(config, 0), CPU)]


@pytest.mark.parametrize(("config", "numerics"), on_cpu(), ids=str)
def test_every_numerics_generates_what_the_generator_gives(config: GeneratorConfig, numerics: Numerics) -> None:
    inputs = random_inputs(config, 8)
    images = Network(tiny_generator(config, 3), CPU, numerics, 8).generate(inputs, 8)
    assert images.shape == (8, config.size, config.size, config.channels)
    # Weights this large saturate tanh, which bfloat16 feels most; a wrong layer is off by tens.
    assert np.abs(images.astype(int) - expected(tiny_generator(config, 3), inputs)).mean() < 2


def test_a_network_without_convolutions_has_no_layout_to_choose() -> None:
    assert not any(numerics.channels_last for numerics in candidates(tiny_generator(TINY_MLP, 0), CPU))
    assert any(numerics.channels_last for numerics in candidates(tiny_generator(TINY_DCGAN, 0), CPU))


def test_the_weights_have_memory_of_their_own_aligned_as_torch_aligns_it() -> None:
    odd = torch.frombuffer(bytearray(4 * 16 * 24 + 4), dtype=torch.float32, offset=4).reshape(24, 16)
    generator = tiny_generator(TINY_MLP, 0)
    first = next(iter(generator.parameters()))
    odd.copy_(first)
    first.data = odd
    network = Network(generator, CPU, PLAIN, 8)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in network.module.parameters())


def test_a_network_knows_its_size() -> None:
    assert Network(tiny_generator(TINY_MLP, 0), CPU, PLAIN, 8).bytes == TINY_MLP.parameters() * 4
    halved = Network(tiny_generator(TINY_MLP, 0), CPU, Numerics(precision="bf16"), 8)
    assert halved.bytes == TINY_MLP.parameters() * 2
