from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from models.config.networks import DiscriminatorConfig
from models.config.presets import load
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from models.families.dcgan import DcganDiscriminator
from models.networks import build, build_discriminator
from models.networks.layers import Projected


def config_of(preset: str) -> TrainingConfig:
    return resolve(TrainRequest(preset=preset, dataset="mnist"))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("preset", sorted(load()))
def test_parameters_counted_by_arithmetic_equal_those_built(preset: str) -> None:
    config = config_of(preset)
    with torch.device("meta"):
        pair = build(config)
    assert count(pair.generator) == config.generator_config().parameters()
    assert count(pair.discriminator) == config.discriminator_config().parameters()


@pytest.mark.parametrize("preset", ["mlp-mnist", "mlp-leaky", "dcgan-28", "dcgan-32", "dcgan-64", "dcgan-128"])
def test_latents_become_images_and_images_become_one_logit_each(preset: str) -> None:
    config = config_of(preset)
    pair = build(config)
    images = pair.generator(torch.randn(2, config.latent.dim))
    assert images.shape == (2, config.channels, config.size, config.size)
    assert images.abs().max() <= 1
    assert pair.discriminator(images).shape == (2,)


def layers_of(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.modules() if not isinstance(layer, nn.Sequential)]


def test_plain_networks_have_the_published_layers() -> None:
    pair = build(config_of("mlp-mnist"))
    assert layers_of(pair.generator) == ["Linear", "ReLU"] * 3 + ["Linear", "Tanh", "Unflatten"]
    assert layers_of(pair.discriminator) == ["Flatten", *["Linear", "ReLU", "Dropout"] * 3, "Linear", "Flatten"]
    assert [layer.p for layer in pair.discriminator.modules() if type(layer).__name__ == "Dropout"] == [0.3] * 3


def test_a_leaky_discriminator_has_its_slope_and_no_dropout() -> None:
    layers = list(build(config_of("mlp-leaky")).discriminator.modules())
    assert [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)] == [0.2, 0.2]
    assert "Dropout" not in [type(layer).__name__ for layer in layers]


def test_dcgan_normalises_everywhere_but_the_generators_last_and_the_discriminators_first_layer() -> None:
    pair = build(config_of("dcgan-128"))
    block = ["BatchNorm2d", "ReLU", "ConvTranspose2d"]
    assert layers_of(pair.generator) == ["Linear", "Unflatten", *block * 4, "Tanh"]
    convolutions = ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3]
    assert layers_of(pair.discriminator) == [*convolutions, "Flatten", "Linear", "Flatten"]


def test_dcgan_weights_start_small_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    for network in build(config_of("dcgan-64")):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
                assert layer.bias is None or not layer.bias.any()


def test_the_same_torch_seed_gives_the_same_networks() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append([*build(config_of("dcgan-28")).generator.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_batch_normalisation_is_noticed() -> None:
    for preset in sorted(load()):
        config = config_of(preset)
        with torch.device("meta"):
            pair = build(config)
        for network, declared in zip(pair, (config.generator.network, config.discriminator.network), strict=True):
            assert declared.uses_batch_norm == any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def test_gradients_reach_every_weight_also_through_a_plain_relu() -> None:
    torch.manual_seed(0)
    plain = DcganDiscriminator(widths=(8, 8), slope=0.0)
    network = build_discriminator(DiscriminatorConfig(size=28, channels=1, network=plain))
    network(torch.randn(4, 1, 28, 28)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("preset", ["mlp-conditional", "dcgan-28-conditional"])
def test_conditional_networks_tell_classes_apart(preset: str) -> None:
    torch.manual_seed(0)
    config = config_of(preset)
    generator, discriminator = (network.eval() for network in build(config))
    z = torch.randn(1, config.latent.dim).expand(3, -1)
    labels = torch.tensor([4, 4, 7])
    images = generator(z, labels)
    assert images.shape == (3, 1, 28, 28)
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = discriminator(images[:1].expand(3, -1, -1, -1), labels)
    assert logits.shape == (3,)
    torch.testing.assert_close(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])


@pytest.mark.parametrize("preset", ["mlp-conditional", "dcgan-28-conditional"])
def test_a_projection_adds_the_classes_share_of_the_summed_features(preset: str) -> None:
    """Miyato and Koyama 2018, eq. 3."""
    discriminator = build(config_of(preset)).discriminator.eval()
    assert isinstance(discriminator, Projected)
    images, labels = torch.randn(2, 1, 28, 28), torch.tensor([0, 9])
    features = discriminator.trunk(images)
    summed = features if features.dim() == 2 else features.sum((2, 3))
    share = torch.stack([discriminator.embedding.weight[label] @ h for label, h in zip((0, 9), summed, strict=True)])
    torch.testing.assert_close(discriminator(images, labels), discriminator.head(features) + share)


@pytest.mark.parametrize("preset", ["mlp-conditional", "dcgan-28-conditional"])
def test_only_the_classes_that_were_shown_get_a_gradient(preset: str) -> None:
    config = config_of(preset)
    pair = build(config)
    labels = torch.tensor([2, 5])
    pair.discriminator(pair.generator(torch.randn(2, config.latent.dim), labels), labels).sum().backward()
    for network in pair:
        gradients = network.get_parameter("embedding.weight").grad
        assert gradients is not None
        assert gradients.any(1).nonzero().flatten().tolist() == [2, 5]


def test_a_critic_has_biases_where_there_is_no_normalisation() -> None:
    critic = build(config_of("wgan-gp")).discriminator
    assert "BatchNorm2d" not in layers_of(critic)
    assert [layer.bias is not None for layer in critic.modules() if isinstance(layer, nn.Conv2d)] == [True, True]


def test_building_without_memory_imports_no_compiler() -> None:
    """It takes seconds, at every load of a version."""
    code = """
import sys, torch
from models.networks import build
from models.config.presets import load
from models.config.requests import TrainRequest, resolve
with torch.device("meta"):
    for preset in load():
        for conditional in (False, True):
            build(resolve(TrainRequest(preset=preset, dataset="mnist", overrides={"conditional": conditional})))
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
