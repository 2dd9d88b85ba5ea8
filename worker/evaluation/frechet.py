"""Fréchet distance between two sets of features, each taken as normally distributed (Heusel et al. 2017, arXiv
1706.08500, equation 6). On Inception's features that is the FID; on others it is not, and is not called so.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean float64 `[D]` and covariance float64 `[D, D]` of features."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Take them of `[N, D]`, at least two rows."""
        rows = features.double()
        return cls(rows.mean(0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1]))


def distance(left: Moments, right: Moments) -> float:
    """Give |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))."""
    values, vectors = torch.linalg.eigh(left.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # C1 C2 and root C2 root have the same eigenvalues, and the latter is symmetric.
    cross = torch.linalg.eigvalsh(root @ right.covariance @ root).clamp_min(0).sqrt().sum()
    traces = left.covariance.trace() + right.covariance.trace()
    return max(0.0, float((left.mean - right.mean).square().sum() + traces - 2 * cross))
