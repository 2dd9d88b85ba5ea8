"""The training images most like some generated ones, side by side: where pairs are the same, a generator remembers."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from models import pictures
from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.evaluation.samples import Indices, permutation

SHOWN: Final = 16
_PAIRS: Final = 4  # in a row
_CHUNK: Final = 1 << 22  # values of the data's pixels that are held as numbers at once
_MOST: Final = 1 << 28  # values that are looked at; of larger sets a fixed choice of images is


def nearest(images: Pixels, prepared: Prepared) -> Indices:
    """Find the image of the data with the least sum of squared differences to each of some others.

    In a large set only a fixed choice of images is looked at: 5,461 of 128 px in colour, 342,392 of 28 px in grey.

    Args:
        images: uint8 `[n, H, W, C]`.
        prepared: the data, of the same size and channels.

    Returns:
        int64 `[n]`, positions in the data; of equals the first.
    """
    wanted = torch.from_numpy(images.transpose(0, 3, 1, 2).reshape(len(images), -1)).float()
    best = torch.full((len(images),), torch.inf)
    found = torch.zeros(len(images), dtype=torch.int64)
    values = wanted.shape[1]
    chosen = np.sort(permutation(prepared.count)[: _MOST // values])
    chunk = max(1, _CHUNK // values)
    for start in range(0, len(chosen), chunk):
        rows = torch.from_numpy(prepared.images[chosen[start : start + chunk]]).flatten(1).float()
        # |a - b|^2 without |a|^2, which is the same for all.
        distances, places = (rows.square().sum(1) - 2 * wanted @ rows.T).min(1)
        closer = distances < best
        best = torch.where(closer, distances, best)
        found = torch.where(closer, places + start, found)
    positions: Indices = chosen[found.numpy()]
    return positions


def picture(images: Pixels, prepared: Prepared) -> bytes:
    """Draw the first 16 of some images, uint8 `[n, H, W, C]`, each with the data's nearest to its right; PNG."""
    shown = images[:SHOWN]
    beside = prepared.images[nearest(shown, prepared)].transpose(0, 2, 3, 1)
    pairs = np.stack((shown, beside), axis=1).reshape(-1, *shown.shape[1:])
    return pictures.encode(pictures.grid(pairs, nrow=2 * _PAIRS), "png")
