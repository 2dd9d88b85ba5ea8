"""Diversity of a set of images: two measures on pixels, reported as shares of the same measure of real images.

`nearest_neighbour_diversity`, the score `diversity`, falls to 0 when a generator repeats a few images. The guard uses
`pairwise_diversity`, which falls to 0 when all images of a class become alike, and needs only 64 images.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.pictures import Pixels

# Images that the score compares, each with all others.
COUNT: Final = 500
_COARSE_SIDE: Final = 16  # pixels, about: the resolution of pairwise diversity


def nearest_neighbour_diversity(images: Tensor) -> float:
    """Compute the mean distance from an image to the nearest other one: root mean square of the pixels' differences.

    Args:
        images: float32 `[N, C, H, W]`, N at least 2; only values for equal N can be compared.
    """
    rows = images.flatten(1)
    distances = torch.cdist(rows, rows)
    distances.fill_diagonal_(torch.inf)  # an image is not its own neighbour
    # The norm of a difference grows with the root of the number of values.
    return float(distances.min(1).values.mean()) / math.sqrt(rows.shape[1])


def pairwise_diversity(images: Pixels, labels: NDArray[np.int64] | None = None) -> float:
    """Compute the mean over pairs of the root mean square difference of pixels, at about 16 px a side.

    Args:
        images: uint8 `[N, H, W, C]`.
        labels: int64 `[N]`; only pairs of the same label count.

    Returns:
        In [0, 255]; 0 where there is no pair.
    """
    differences = _differences(images, labels)
    pairs = np.isfinite(differences)
    return float(differences[pairs].mean()) if pairs.any() else 0.0


def nearest_difference(images: Pixels, labels: NDArray[np.int64] | None = None) -> float:
    """Compute the mean difference from an image to the one most like it, as `pairwise_diversity` measures it."""
    nearest = _differences(images, labels).min(1)
    return float(nearest[np.isfinite(nearest)].mean()) if np.isfinite(nearest).any() else 0.0


def coarse(images: Pixels) -> NDArray[np.float64]:
    """Return images at about 16 px a side, `[N, values]`: means of blocks ignore noise and single strokes.

    Args:
        images: uint8 `[N, H, W, C]`.
    """
    count, height, width = images.shape[:3]
    down, right = (max(1, round(side / _COARSE_SIDE)) for side in (height, width))
    blocks = images.reshape(count, height // down, down, width // right, right, -1)
    rows: NDArray[np.float64] = blocks.mean((2, 4), dtype=np.float64).reshape(count, -1)
    return rows


# The difference of each pair, float64 `[N, N]`; infinite where a pair does not count.
def _differences(images: Pixels, labels: NDArray[np.int64] | None) -> NDArray[np.float64]:
    flat = coarse(images)
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; rounding may take it below 0.
    squares = (flat**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1])
    np.fill_diagonal(distances, np.inf)
    if labels is not None:
        distances[labels[:, None] != labels] = np.inf
    differences: NDArray[np.float64] = distances
    return differences
