"""Kernel distance between two sets of features, on Inception's the KID (Bińkowski et al. 2018, arXiv 1801.01401).

It is the squared maximum mean discrepancy under a cubic kernel, unbiased, and so suits fewer samples than a Fréchet
distance.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

BLOCK: Final = 1_000


class Discrepancy(NamedTuple):
    """Mean and standard deviation over blocks; slightly below 0 where there is nothing to tell apart."""

    mean: float
    deviation: float


def discrepancy(left: Tensor, right: Tensor) -> Discrepancy:
    """Compare `[N, D]` with `[M, D]`, in as many pairs of blocks of 1,000 rows as both fill; one where they do not."""
    block = min(BLOCK, len(left), len(right))
    count = min(len(left), len(right)) // block
    blocks = (torch.split(rows.double(), block)[:count] for rows in (left, right))
    pairs = zip(*blocks, strict=True)
    found = torch.tensor([_unbiased(*pair) for pair in pairs], dtype=torch.float64)
    return Discrepancy(float(found.mean()), float(found.std(correction=0)))


def _unbiased(left: Tensor, right: Tensor) -> float:
    """Give E k(x, x') + E k(y, y') - 2 E k(x, y) over different x and x', y and y' (equation 4)."""
    return _within(left) + _within(right) - 2 * float(_kernel(left, right).mean())


def _within(rows: Tensor) -> float:
    kernel = _kernel(rows, rows)
    return float((kernel.sum() - kernel.trace()) / (len(rows) * (len(rows) - 1)))


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    return (left @ right.T / left.shape[1] + 1) ** 3
