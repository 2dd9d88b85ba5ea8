"""Pictures of a training's progress: the same 64 latents through the averaged generator, again and again."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models import pictures
from models.config import GeneratorConfig
from models.latents import latents

SIDE = 8


class Painter:
    """Paints the first 64 images of a seed as an 8x8 grid: the picture that sampling gives for that seed."""

    def __init__(self, config: GeneratorConfig, seed: int, device: torch.device) -> None:
        indices = np.arange(SIDE * SIDE, dtype=np.int64)
        self._latents = torch.from_numpy(latents(config.latent, seed, indices)).to(device)

    @torch.no_grad()
    def grid(self, generator: nn.Module) -> bytes:
        """Give the grid of a generator in evaluation mode, as PNG; no random number is drawn."""
        images = generator(self._latents).permute(0, 2, 3, 1).float().cpu().numpy()
        return pictures.encode(pictures.grid(pictures.to_uint8(images), nrow=SIDE), "png")
