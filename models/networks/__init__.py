"""Networks built from their configurations, one module per family; callers seed torch first."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from models.config.networks import DiscriminatorConfig, GeneratorConfig
from models.config.training import TrainingConfig
from models.networks.spectral import normalise

__all__ = ["Pair", "build", "build_discriminator", "build_generator"]


class Pair(NamedTuple):
    generator: nn.Module
    discriminator: nn.Module


def build_generator(config: GeneratorConfig) -> nn.Module:
    """Build a generator: latents `[N, dim]`, and int64 labels `[N]` if conditional, to images `[N, C, H, W]`."""
    # Images are in [-1, 1]; only r3gan, which has no tanh, can exceed that.
    return config.network.build(config.shape, config.input_width, config.classes)


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """Build a discriminator: images `[N, C, H, W]`, and int64 labels `[N]` if conditional, to logits `[N]`."""
    return config.network.build(config.shape, config.classes)


def build(config: TrainingConfig) -> Pair:
    """Build both networks of a training with new weights."""
    # The generator first: the order decides which random numbers each one gets.
    pair = Pair(build_generator(config.generator_config()), build_discriminator(config.discriminator_config()))
    if config.discriminator.spectral_norm:
        normalise(pair.discriminator)
    return pair
