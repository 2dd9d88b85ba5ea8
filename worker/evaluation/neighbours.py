"""The training images most like some generated ones, side by side: where pairs are the same, a generator remembers."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from models import pictures
from models.config.networks import GeneratorConfig
from models.inference import run_generator
from models.inputs import make_inputs
from models.pictures import Pixels
from models.store.card import Pairs
from worker.data.prepared import Prepared
from worker.evaluation.samples import Indices, permutation

SHOWN: Final = 16
_PAIRS: Final = 4  # in a row
_SIDE: Final = 32  # larger images are compared at 32 to 63 px
_CHUNK: Final = 1 << 24  # values of the data's pixels that are held as numbers at once
_MOST: Final = 1 << 33  # values that are read; of larger sets a fixed choice of images is


def generate(generator: nn.Module, config: GeneratorConfig, seed: int) -> Pixels:
    """Generate the first 16 images of a seed, uint8 `[16, H, W, C]`; conditional ones are of as many classes."""
    indices = np.arange(SHOWN)
    labels = indices * max(config.classes, SHOWN) // SHOWN % config.classes if config.classes else None
    pixels = run_generator(generator, make_inputs(config.inputs, seed, indices, label=labels))
    images: Pixels = pixels.permute(0, 2, 3, 1).numpy()
    return images


def searched(prepared: Prepared) -> Indices:
    """Choose where to look, int64, ascending: all images, or as many as 8.6 billion values are (174,762 of 128 px)."""
    _, channels, height, width = prepared.images.shape
    return np.sort(permutation(prepared.count)[: _MOST // (channels * height * width)])


def nearest(images: Pixels, prepared: Prepared, chosen: Indices) -> Indices:
    """Find the image of the data with the least sum of squared differences to each of some others.

    Those of 64 px and more are made smaller first: each value is then the mean of a block of pixels.

    Args:
        images: uint8 `[n, H, W, C]`.
        prepared: the data, of the same size and channels.
        chosen: positions in it to look at.

    Returns:
        int64 `[n]`, positions in the data; of equals the first.
    """
    wanted = _reduced(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    best = torch.full((len(images),), torch.inf)
    found = torch.zeros(len(images), dtype=torch.int64)
    chunk = max(1, _CHUNK // images[0].size)
    for start in range(0, len(chosen), chunk):
        rows = _reduced(torch.from_numpy(prepared.images[chosen[start : start + chunk]]))
        # |a - b|^2 without |a|^2, which is the same for all.
        distances, places = (rows.square().sum(1) - 2 * wanted @ rows.T).min(1)
        closer = distances < best
        best = torch.where(closer, distances, best)
        found = torch.where(closer, places + start, found)
    positions: Indices = chosen[found.numpy()]
    return positions


def _reduced(images: Tensor) -> Tensor:
    """Give uint8 `[N, C, H, H]` as float32 rows."""
    by = max(1, images.shape[-1] // _SIDE)
    return avg_pool2d(images.float(), by).flatten(1)


def pairs(shown: Pixels, prepared: Prepared) -> Pairs:
    """Draw some images, uint8 `[n, H, W, C]`, each with the data's nearest to its right."""
    chosen = searched(prepared)
    beside = prepared.images[nearest(shown, prepared, chosen)].transpose(0, 2, 3, 1)
    both = np.stack((shown, beside), axis=1).reshape(-1, *shown.shape[1:])
    picture = pictures.encode(pictures.grid(both, nrow=2 * _PAIRS), "png")
    return Pairs(picture, len(chosen), prepared.count)
