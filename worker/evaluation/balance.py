"""How often each class of the data is among the samples, as a classifier sees them."""

from __future__ import annotations

import torch
from torch import Tensor


def shares(labels: Tensor, classes: int) -> Tensor:
    """Give the share of each class among int64 labels, float64 `[classes]`."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def divergence(found: Tensor, expected: Tensor) -> float:
    """Give KL(found || expected) = sum p ln(p / q) in nats, 0 where all is as expected: "reverse" to a likelihood's.

    A class that nobody makes costs little, one made where there is none would cost infinitely much: every class of the
    data has an image.
    """
    return float(torch.where(found > 0, found * (found / expected).log(), 0.0).sum())
