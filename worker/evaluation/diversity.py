"""How different images of one set are from each other: what falls to nothing when a generator collapses."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

COUNT: Final = 500
"""Images that are compared, each with all others."""


def spread(images: Tensor) -> float:
    """Give the mean distance from an image to the one most like it: root mean square of the pixels' differences.

    It depends on the number of images, so that only spreads of equally many can be compared. A generator that repeats
    a few images, however different, has one near 0.

    Args:
        images: float32 `[N, C, H, W]`, at least 2.
    """
    rows = images.flatten(1)
    distances = torch.cdist(rows, rows)
    distances.fill_diagonal_(torch.inf)
    return float(distances.min(1).values.mean()) / math.sqrt(rows.shape[1])
