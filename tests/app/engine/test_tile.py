"""Pixels on the device, padding, devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.engine.inputs import Inputs
from app.engine.tile import Network, Painter, choose_device, to_uint8
from models import pictures
from models.config import GeneratorConfig
from tests.fixtures.models import TINY_DCGAN, TINY_MLP, tiny_generator

CPU = torch.device("cpu")


def random_latents(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def test_pixels_are_those_of_the_pictures_module() -> None:
    levels = (np.arange(-2, 259, dtype=np.float32) - np.float32(0.5)) / np.float32(127.5) - np.float32(1)
    edges = np.concatenate([np.nextafter(levels, np.float32(-9)), levels, np.nextafter(levels, np.float32(9))])
    spread = np.random.default_rng(1).uniform(-1.5, 1.5, 200_000).astype(np.float32)
    x = np.concatenate([edges, spread, np.array([-np.inf, np.inf, -1, 0, 1], np.float32)])
    assert np.array_equal(to_uint8(torch.from_numpy(x.copy())).numpy(), pictures.to_uint8(x))


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN])
def test_a_tile_paints_what_the_network_gives(config: GeneratorConfig) -> None:
    z = random_latents(8, config.latent.dim)
    with torch.inference_mode():
        expected = pictures.to_uint8(tiny_generator(config, 3)(torch.from_numpy(z)).numpy()).transpose(0, 2, 3, 1)
    painted = Network(tiny_generator(config, 3), CPU).pictures(z, 8)
    assert painted.shape == (8, config.size, config.size, config.channels)
    assert np.abs(painted.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN])
def test_padding_leaves_no_trace(config: GeneratorConfig) -> None:
    painter = Painter(Network(tiny_generator(config, 3), CPU), (16,), 1.0)
    z = random_latents(16, config.latent.dim)
    whole = painter.paint(Inputs(z))
    for count in (1, 5, 15):
        assert np.array_equal(painter.paint(Inputs(z[:count])), whole[:count])


def test_the_weights_have_memory_of_their_own_aligned_as_torch_aligns_it() -> None:
    odd = torch.frombuffer(bytearray(4 * 16 * 24 + 4), dtype=torch.float32, offset=4).reshape(24, 16)
    generator = tiny_generator(TINY_MLP, 0)
    first = next(iter(generator.parameters()))
    odd.copy_(first)
    first.data = odd
    network = Network(generator, CPU)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in network.module.parameters())


def test_a_network_knows_its_size() -> None:
    assert Network(tiny_generator(TINY_MLP, 0), CPU).bytes == TINY_MLP.parameters() * 4


def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match='ATELIER_DEVICE is "quantum"'):
        choose_device("quantum")
    assert choose_device("cpu").type == "cpu"


def test_the_first_of_several_devices_serves() -> None:
    assert choose_device("cpu, cuda:7").type == "cpu"
