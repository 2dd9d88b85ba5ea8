"""Networks built from their configurations, one module per family; whoever builds them seeds torch first."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from models.config.networks import DiscriminatorConfig, GeneratorConfig
from models.config.training import TrainingConfig

__all__ = ["Pair", "build", "build_discriminator", "build_generator"]


class Pair(NamedTuple):
    """The two networks of a training."""

    generator: nn.Module
    discriminator: nn.Module


def build_generator(config: GeneratorConfig) -> nn.Module:
    """Build a generator: float32 latents `[N, dim]` to images `[N, C, H, W]` in [-1, 1], or thereabouts for r3gan.

    A conditional one takes int64 labels `[N]` as its second argument.
    """
    return config.network.build(config.shape, config.input_width, config.classes)


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """Build a discriminator: float32 images `[N, C, H, W]` in [-1, 1] to logits `[N]`.

    A conditional one takes int64 labels `[N]` as its second argument.
    """
    return config.network.build(config.shape, config.classes)


def build(config: TrainingConfig) -> Pair:
    """Build both networks of a training, freshly initialised: the generator first."""
    return Pair(build_generator(config.generator_config()), build_discriminator(config.discriminator_config()))
