"""Generators run over named inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.config.networks import GeneratorConfig
from models.inference import forward, run_generator, to_uint8
from models.inputs import make_inputs
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, tiny_generator


def pixels_by_the_contract(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The contract's formula, in numpy."""
    levels = np.floor((x + np.float32(1)) * np.float32(127.5) + np.float32(0.5))
    clamped: NDArray[np.float32] = np.fmin(np.fmax(levels, 0), 255)
    return clamped.astype(np.uint8)


def test_values_become_pixels_by_the_contracts_formula_and_are_clamped() -> None:
    x = np.array([-9, -1, -0.998, 0, 0.5, 1, 1.1, 9, np.inf, -np.inf], np.float32)
    assert to_uint8(torch.from_numpy(x)).tolist() == [0, 0, 0, 128, 191, 255, 255, 255, 255, 0]


def test_every_pixel_survives_the_way_to_values_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(
        to_uint8(torch.from_numpy((levels / np.float32(127.5) - 1).astype(np.float32))).numpy(), levels
    )


def test_values_that_are_no_number_are_black() -> None:
    assert to_uint8(torch.tensor([torch.nan])).tolist() == [0]


def test_pixels_are_those_of_the_contracts_formula() -> None:
    levels = (np.arange(-2, 259, dtype=np.float32) - np.float32(0.5)) / np.float32(127.5) - np.float32(1)
    edges = np.concatenate([np.nextafter(levels, np.float32(-9)), levels, np.nextafter(levels, np.float32(9))])
    spread = np.random.default_rng(1).uniform(-1.5, 1.5, 200_000).astype(np.float32)
    x = np.concatenate([edges, spread, np.array([-np.inf, np.inf, -1, 0, 1], np.float32)])
    assert np.array_equal(to_uint8(torch.from_numpy(x.copy())).numpy(), pixels_by_the_contract(x))


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL], ids=["mlp", "dcgan", "conditional"])
def test_a_generator_is_given_its_inputs_in_its_order(config: GeneratorConfig) -> None:
    generator = tiny_generator(config, 3)
    inputs = make_inputs(config.inputs, 7, np.arange(6))
    images = generator(*(torch.from_numpy(array) for array in inputs.arrays.values()))
    assert torch.equal(run_generator(generator, inputs), to_uint8(images))


def test_batches_have_the_size_asked_for_and_the_last_one_the_rest() -> None:
    sizes = []

    class Probe(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            sizes.append(len(z))
            assert not torch.is_grad_enabled()
            return z.view(-1, 1, 4, 4)

    inputs = make_inputs(TINY_MLP.inputs, 7, np.arange(7))
    pixels = run_generator(Probe(), inputs, batch_size=3)
    assert sizes == [3, 3, 1]
    assert np.array_equal(pixels.numpy(), pixels_by_the_contract(inputs["z"]).reshape(7, 1, 4, 4))


def test_fractions_are_converted_and_labels_are_not() -> None:
    seen = []

    class Probe(nn.Module):
        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            seen.extend([z.dtype, labels.dtype])
            return z

    images = forward(Probe(), [torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)], torch.bfloat16)
    assert seen == [torch.bfloat16, torch.int64]
    assert images.dtype == torch.float32
