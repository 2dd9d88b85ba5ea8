"""Pictures of a training's progress: the same latents through the averaged generator, again and again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models import pictures
from models.config.training import GeneratorConfig
from models.latents import latents

Indices = NDArray[np.int64]

SIDE = 8
_AT_ONCE = SIDE * SIDE  # images that the generator paints in one pass
_ROWS = 32
_MOST = 1024


class Painter:
    """Paints fixed images of a seed as a grid: the pictures that sampling gives for that seed.

    They are the first 64 as 8x8. A conditional generator has a row for each class, with the same 8 latents in each;
    one with more than 32 classes has one image of each of the first 1,024, all of the same latent.
    """

    def __init__(self, config: GeneratorConfig, seed: int, device: torch.device) -> None:
        indices, labels, self._nrow = arranged(config.classes)
        inputs: tuple[NDArray[Any], ...] = (latents(config.latent, seed, indices), *labels)
        self._parts = [
            [torch.from_numpy(value[start : start + _AT_ONCE]).to(device) for value in inputs]
            for start in range(0, len(indices), _AT_ONCE)
        ]

    @torch.no_grad()
    def paint(self, generator: nn.Module) -> pictures.Pixels:
        """Give the images of a generator in evaluation mode, uint8 `[N, H, W, C]`; no random number is drawn."""
        painted = [generator(*part).permute(0, 2, 3, 1).float().cpu().numpy() for part in self._parts]
        return np.concatenate([pictures.to_uint8(images) for images in painted])

    def grid(self, generator: nn.Module) -> bytes:
        """Give the grid of a generator in evaluation mode, as PNG."""
        return self.arrange(self.paint(generator))

    def arrange(self, images: pictures.Pixels) -> bytes:
        """Lay painted images out as a grid, as PNG."""
        return pictures.encode(pictures.grid(images, nrow=self._nrow), "png")


def arranged(classes: int) -> tuple[Indices, tuple[Indices, ...], int]:
    """Lay out the grid for so many classes: indices of the seed, labels if any, images per row."""
    if not classes:
        return np.arange(SIDE * SIDE), (), SIDE
    if classes <= _ROWS:
        labels, indices = np.divmod(np.arange(classes * SIDE), SIDE)
        return indices, (labels,), SIDE
    labels = np.arange(min(classes, _MOST))
    return np.zeros_like(labels), (labels,), math.isqrt(len(labels))
