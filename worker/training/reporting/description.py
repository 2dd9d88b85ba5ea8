"""What a run's log says first: both networks, layer by layer."""

from __future__ import annotations

import torch
from torchinfo import summary

from models.config.training import TrainingConfig
from models.networks import build


def describe(config: TrainingConfig) -> str:
    """Give a layer-by-layer summary of both networks, from copies that have been run once."""
    # Not on the meta device: running a layer there imports torch's compiler, which takes seconds.
    pair = build(config)
    z, image = torch.zeros(1, config.latent.dim), torch.zeros(1, config.channels, config.size, config.size)
    told = [torch.zeros(1, dtype=torch.int64)] if config.conditional else []
    generator = summary(pair.generator, input_data=[z, *told], device="cpu", verbose=0)
    discriminator = summary(pair.discriminator, input_data=[image, *told], device="cpu", verbose=0)
    return f"generator\n{generator}\n\ndiscriminator\n{discriminator}"
