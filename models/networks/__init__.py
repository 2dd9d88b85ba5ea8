"""Networks built from their configurations, one module per family; whoever builds them seeds torch first."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from models.config.training import (
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    GeneratorConfig,
    MlpDiscriminator,
    MlpGenerator,
    PatchDiscriminator,
    PatchGenerator,
    R3ganDiscriminator,
    R3ganGenerator,
    TrainingConfig,
)
from models.networks import dcgan, mlp, patch, r3gan

__all__ = ["Pair", "build", "build_discriminator", "build_generator", "uses_batch_norm"]


class Pair(NamedTuple):
    """The two networks of a training."""

    generator: nn.Module
    discriminator: nn.Module


def build_generator(config: GeneratorConfig) -> nn.Module:
    """Build a generator: float32 latents `[N, dim]` to images `[N, C, H, W]` in [-1, 1], or thereabouts for r3gan.

    A conditional one takes int64 labels `[N]` as its second argument.
    """
    match config.network:
        case MlpGenerator() as network:
            return mlp.generator(config, network)
        case DcganGenerator() as network:
            return dcgan.generator(config, network)
        case PatchGenerator() as network:
            return patch.generator(config, network)
        case R3ganGenerator() as network:
            return r3gan.Generator(config, network)


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """Build a discriminator: float32 images `[N, C, H, W]` in [-1, 1] to logits `[N]`.

    A conditional one takes int64 labels `[N]` as its second argument.
    """
    match config.network:
        case MlpDiscriminator() as network:
            return mlp.discriminator(config, network)
        case DcganDiscriminator() as network:
            return dcgan.discriminator(config, network)
        case PatchDiscriminator() as network:
            return patch.discriminator(config, network)
        case R3ganDiscriminator() as network:
            return r3gan.Discriminator(config, network)


def build(config: TrainingConfig) -> Pair:
    """Build both networks of a training, freshly initialised: the generator first."""
    return Pair(build_generator(config.generator_config()), build_discriminator(config.discriminator_config()))


def uses_batch_norm(module: nn.Module) -> bool:
    """Tell whether an image's result in training depends on the batch that it is in."""
    return any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
