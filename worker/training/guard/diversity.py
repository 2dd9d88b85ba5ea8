"""How much the images of a set differ from one another: the mean distance of pairs, at a coarse resolution."""

from __future__ import annotations

import numpy as np

from models.inputs import Indices
from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.training.reporting.real_images import choose
from worker.training.reporting.snapshots import grid_layout

_SIDE = 16  # pixels, about: what is left of noise and of single strokes there tells little about variety
_DISTINCT = 0.5  # of 255: a data set whose images differ by less shows one image


def spread(images: Pixels, labels: Indices | None = None) -> float:
    """Give the mean over pairs of the root mean square difference of their pixels, reduced to about 16 px a side.

    Args:
        images: uint8 `[N, H, W, C]`.
        labels: int64 `[N]`: only pairs with the same label count.

    Returns:
        0 where there is no pair.
    """
    count, side = images.shape[:2]
    factor = max(1, round(side / _SIDE))
    blocks = images.reshape(count, side // factor, factor, side // factor, factor, -1)
    flat = blocks.mean((2, 4), dtype=np.float64).reshape(count, -1)
    squares = (flat**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1])
    pairs = np.ones((count, count), np.bool_) if labels is None else labels[:, None] == labels
    np.fill_diagonal(pairs, val=False)
    return float(distances[pairs].mean()) if pairs.any() else 0.0


class Variety:
    """Compares the images of a run's grid with real ones, chosen in the same way.

    A conditional generator that paints one image of each class has collapsed, however its classes differ: where the
    grid has several images of a class, they are compared with each other only.

    Args:
        prepared: the images that the run trains on.
        classes: of a conditional run, or else 0.
    """

    def __init__(self, prepared: Prepared, classes: int) -> None:
        _, labels, _ = grid_layout(classes)
        self._labels = labels if labels is not None and len(np.unique(labels)) < len(labels) else None
        chosen, first = np.unique(choose(prepared, classes), return_index=True)
        real = np.ascontiguousarray(prepared.images[chosen].transpose(0, 2, 3, 1))
        self._real = spread(real, None if self._labels is None else self._labels[first])

    def of(self, images: Pixels) -> float | None:
        """Give the spread of generated images as a share of that of real ones; None where those are all alike.

        Args:
            images: uint8 `[N, H, W, C]`, those of the grid in its order.
        """
        return spread(images, self._labels) / self._real if self._real >= _DISTINCT else None
