"""FastGAN's generator: sizes, skip-layer excitation against the formula, folding for inference."""

from __future__ import annotations

import copy

import pytest
import torch

from app.engine.folding import fold
from models.config.values import ImageShape
from models.families.fastgan import FastganGenerator
from models.networks.fastgan import Generator

SIZES = [28, 32, 64, 128, 256]


def network(size: int, **settings: object) -> FastganGenerator:
    return FastganGenerator(widths=(12, 10, 8, 8, 6), **settings).resized(ImageShape(size, size, 3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("activation", ["relu", "glu"])
@pytest.mark.parametrize("excitation", [True, False])
def test_images_of_every_size_from_as_many_weights_as_counted(size: int, activation: str, excitation: bool) -> None:
    shape = ImageShape(size, size, 3)
    chosen = network(size, activation=activation, excitation=excitation)
    chosen.check(shape)
    module = chosen.build(shape, 7, 0)
    images = module(torch.randn(3, 7))
    assert images.shape == (3, 3, size, size)
    assert images.abs().max() <= 1
    assert sum(weight.numel() for weight in module.parameters()) == chosen.parameters(shape, 7)


def test_channels_are_scaled_by_what_a_lower_resolution_computes() -> None:
    chosen = network(64)
    assert list(chosen.excited()) == [(3, 0)]
    module = Generator(chosen, ImageShape(64, 64, 3), 7).eval()
    z = torch.randn(2, 7)
    with torch.no_grad():
        low = module.stages[0](z)
        x = module.stages[3](module.stages[2](module.stages[1](low)))
        layers = list(module.excitations["3"].children())
        scales = torch.sigmoid(layers[2](torch.nn.functional.silu(layers[0](low))))
        assert scales.shape == (2, 8, 1, 1)
        assert torch.equal(module(z), module.end(x * scales))


@pytest.mark.parametrize("classes", [0, 3])
def test_folded_for_inference_it_is_the_same_function(classes: int) -> None:
    module = network(64).build(ImageShape(64, 64, 3), 7 + (64 if classes else 0), classes)
    z, labels = torch.randn(4, 7), [torch.tensor([0, 1, 2, 0])] if classes else []
    for _ in range(3):
        module(z, *labels)  # statistics of batch normalisation
    module.eval()
    folded = fold(copy.deepcopy(module))
    assert not [layer for layer in folded.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        torch.testing.assert_close(folded(z, *labels), module(z, *labels), rtol=1e-4, atol=1e-4)
