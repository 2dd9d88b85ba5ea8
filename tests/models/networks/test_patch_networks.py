from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.config.inputs import Latent
from models.config.networks import DiscriminatorConfig, GeneratorConfig
from models.families.patch import PatchDiscriminator, PatchGenerator
from models.networks import build_discriminator, build_generator

GAIN = math.sqrt(2 / 1.04)


@pytest.mark.parametrize("size", [28, 32, 64, 128])
@pytest.mark.parametrize(("channels", "classes"), [(1, 0), (3, 5)])
@pytest.mark.parametrize("widths", [(8,), (16, 8, 8)])
def test_they_make_and_judge_images_of_every_size(
    size: int, channels: int, classes: int, widths: tuple[int, ...]
) -> None:
    image = {"size": size, "channels": channels, "classes": classes}
    ours = GeneratorConfig(**image, latent=Latent(dim=6), network=PatchGenerator(widths=widths))
    theirs = DiscriminatorConfig(**image, network=PatchDiscriminator(widths=widths))
    networks = build_generator(ours), build_discriminator(theirs)
    labels = [torch.tensor([4, 0])] if classes else []
    images = networks[0](torch.randn(2, 6), *labels)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert networks[1](images, *labels).shape == (2,)
    for network, count in zip(networks, (ours.parameters(), theirs.parameters()), strict=True):
        assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_weights_start_so_that_the_variance_stays() -> None:
    torch.manual_seed(0)
    generator = build_generator(
        GeneratorConfig(size=28, channels=1, latent=Latent(dim=64), network=PatchGenerator(widths=(64, 64)))
    )
    discriminator = build_discriminator(DiscriminatorConfig(size=28, channels=1, network=PatchDiscriminator()))
    found = [
        layer.weight.std().item() * layer.weight[0].numel() ** 0.5
        for network in (generator, discriminator)
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    assert found == pytest.approx([GAIN, GAIN, 1, GAIN, GAIN, 1], rel=0.1)


def test_all_convolutions_work_on_the_square_of_patches() -> None:
    generator = build_generator(GeneratorConfig(size=28, channels=1, latent=Latent(dim=8), network=PatchGenerator()))
    sides: list[int] = []
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _module, _inputs, output: sides.append(output.shape[-1]))
    generator(torch.randn(2, 8))
    assert sides == [7, 7]
