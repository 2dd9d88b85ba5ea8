from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from models.config.inputs import Latent
from models.config.networks import DiscriminatorConfig, GeneratorConfig
from models.families.r3gan import R3ganDiscriminator, R3ganGenerator
from models.networks import build_discriminator, build_generator
from models.networks.r3gan import Block, Down, Up
from models.store.weights import generator_bytes, load_generator

GAIN = math.sqrt(2 / 1.04)


def generator(size: int = 32, widths: tuple[int, ...] = (64, 64, 32, 32), **changes: Any) -> GeneratorConfig:
    network = R3ganGenerator(widths=widths, blocks=changes.pop("blocks", 2))
    return GeneratorConfig(size=size, channels=3, latent=Latent(dim=64), network=network, **changes)


def discriminator(size: int = 32, widths: tuple[int, ...] = (32, 32, 64, 64), **changes: Any) -> DiscriminatorConfig:
    network = R3ganDiscriminator(widths=widths, blocks=changes.pop("blocks", 2))
    return DiscriminatorConfig(size=size, channels=3, network=network, **changes)


@pytest.mark.parametrize(("size", "widths"), [(28, (16, 8, 8)), (32, (8,) * 4), (64, (8,) * 5), (128, (8,) * 6)])
@pytest.mark.parametrize("classes", [0, 3])
def test_they_make_and_judge_images_of_every_size(size: int, widths: tuple[int, ...], classes: int) -> None:
    ours = generator(size, widths, classes=classes)
    theirs = discriminator(size, widths[::-1], classes=classes)
    labels = [torch.tensor([0, 2])] if classes else []
    networks = build_generator(ours), build_discriminator(theirs)
    images = networks[0](torch.randn(2, 64), *labels)
    assert images.shape == (2, 3, size, size)
    assert networks[1](images, *labels).shape == (2,)
    for network, count in zip(networks, (ours.parameters(), theirs.parameters()), strict=True):
        assert sum(parameter.numel() for parameter in network.parameters()) == count


def deviations(network: nn.Module) -> dict[str, float]:
    return {name: parameter.detach().std().item() for name, parameter in network.named_parameters()}


def close(value: float) -> Any:
    return pytest.approx(value, rel=0.15)


def test_weights_start_with_the_published_gains() -> None:
    torch.manual_seed(0)
    total = 4 * 2
    found = deviations(build_generator(generator(classes=1000)))
    assert found["square"] == close(1)
    assert found["scale.weight"] == close((64 + 64) ** -0.5)
    assert found["embedding.weight"] == close(1000**-0.5)
    assert found["lowest.0.widen.weight"] == close(GAIN * total**-0.25 * 64**-0.5)
    assert found["lowest.1.mix.weight"] == close(GAIN * total**-0.25 * (16 * 9) ** -0.5)
    assert found["lowest.1.narrow.weight"] == found["lowest.0.first_bias"] == 0
    found = deviations(build_discriminator(discriminator(classes=1000)))
    assert found["higher.0.weight"] == close(3**-0.5)
    assert found["square.weight"] == close((4 * 4) ** -0.5)
    assert found["head.weight"] == close(64**-0.5)
    assert found["embedding.weight"] == close((64 * 1000) ** -0.5)


def test_a_new_block_changes_nothing() -> None:
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(Block(16, 4)(x), x)


def test_doubling_spreads_a_point_by_the_kernel() -> None:
    point = torch.zeros(1, 2, 5, 5)
    point[0, 1, 2, 2] = 16
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    up = Up()(point)
    assert up.shape == (1, 2, 10, 10)
    assert torch.equal(up[0, 1, 3:7, 3:7], taps[:, None] * taps)
    assert up.sum() == 64
    assert not up[0, 0].any()


def test_halving_weighs_four_by_four_points_by_the_kernel() -> None:
    x = torch.randn(1, 2, 6, 6)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    down = Down()(x)
    assert down.shape == (1, 2, 3, 3)
    expected = (x[0, 1, 1:5, 1:5] * taps[:, None] * taps).sum()
    assert down[0, 1, 1, 1].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_class_is_compared_with_the_features() -> None:
    network = build_discriminator(discriminator(classes=5)).eval()
    images = torch.randn(3, 3, 32, 32)
    seen: list[Tensor] = []
    network.get_submodule("head").register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = network(images, torch.tensor([4, 0, 4]))
    table = network.get_parameter("embedding.weight")
    assert torch.allclose(logits, (seen[0] * table[[4, 0, 4]]).sum(1))


def test_the_lowest_square_stays_in_full_precision_under_autocast() -> None:
    ours, theirs = build_generator(generator()), build_discriminator(discriminator())
    seen: dict[str, torch.dtype] = {}
    for name, network in (("generator", ours), ("discriminator", theirs)):
        for part in ("lowest", "higher"):
            network.get_submodule(part).register_forward_hook(
                lambda _module, _inputs, output, key=f"{name} {part}": seen.update({key: output.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16):
        logits = theirs(ours(torch.randn(2, 64)))
    assert logits.dtype == torch.float32
    assert seen == {
        "generator lowest": torch.float32,
        "generator higher": torch.bfloat16,
        "discriminator higher": torch.bfloat16,
        "discriminator lowest": torch.float32,
    }


def test_it_can_be_sampled_in_half_precision_from_its_file() -> None:
    config = generator(28, (16, 8, 8), classes=3)
    network = load_generator(generator_bytes(build_generator(config)), config)
    z, labels = torch.randn(2, 64), torch.tensor([0, 2])
    exact = network(z, labels)
    assert torch.allclose(network.bfloat16()(z.bfloat16(), labels).float(), exact, atol=0.1, rtol=0.1)


def test_widths_that_cannot_be_grouped_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="widths are multiples of 8, which 12, 20 is not"):
        generator(32, (8, 12, 20, 8))
    with pytest.raises(ValidationError, match="4 to 64 px takes 4 steps: give 5 widths, not 4"):
        discriminator(64, (8, 8, 8, 8))
