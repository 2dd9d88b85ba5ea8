"""How much the images of a set differ from one another: the mean distance of all pairs, at a coarse resolution."""

from __future__ import annotations

import numpy as np

from models.pictures import Pixels
from worker.data.prepared import Prepared

_SIDE = 16  # pixels, about: what is left of noise and of single strokes there tells little about variety
_DISTINCT = 0.5  # of 255: a data set whose images differ by less shows one image


def spread(images: Pixels) -> float:
    """Give the mean over all pairs of the root mean square difference of their pixels, reduced to about 16 px a side.

    Args:
        images: uint8 `[N, H, W, C]`; at least 2.
    """
    count, side = images.shape[:2]
    factor = max(1, round(side / _SIDE))
    blocks = images.reshape(count, side // factor, factor, side // factor, factor, -1)
    flat = blocks.mean((2, 4), dtype=np.float64).reshape(count, -1)
    squares = (flat**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1])
    return float(distances.sum() / (count * (count - 1)))


class Variety:
    """Compares generated images with as many real ones, evenly spread over the data set: folders are in its order."""

    def __init__(self, prepared: Prepared, images: int) -> None:
        chosen = np.linspace(0, prepared.count - 1, min(images, prepared.count)).round().astype(int)
        real = np.ascontiguousarray(prepared.images[chosen].transpose(0, 2, 3, 1))
        self._real = spread(real) if len(real) > 1 else 0.0

    def of(self, images: Pixels) -> float | None:
        """Give the spread of generated images as a share of that of real ones; None where those are all alike."""
        return spread(images) / self._real if self._real >= _DISTINCT else None
