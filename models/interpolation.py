"""Interpolation between latents that keeps to the prior on which a generator was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config.inputs import Latent

Reals = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# Sine of the angle between two latents below which they are parallel or opposite within the precision of float32.
_PARALLEL = 1e-6


def interpolate(latent: Latent, a: Reals, b: Reals, t: Doubles) -> Doubles:
    """Interpolate between latents `[n, dim]`; each row of the result depends on its own arguments only.

    Args:
        latent: their prior: spherical interpolation for a normal one, transported for a uniform one.
        a, b: `[n, dim]`, where t is 0 and where t is 1; the result is exact there.
        t: `[n]`, each 0 to 1.
    """
    if latent.prior == "uniform":
        return _transported(a.astype(np.float64), b.astype(np.float64), t[:, None])
    return _spherical(a.astype(np.float64), b.astype(np.float64), t)


# Spherical interpolation (Shoemake 1985, section 3.3, doi 10.1145/325334.325242). Normal latents of many dimensions lie
# near a sphere, and a straight line leads through its empty inside (White 2016, arXiv 1609.04468, section 2.1).
# Parallel or opposite latents, the only case in one dimension, span no plane: they are interpolated linearly.
def _spherical(a: Doubles, b: Doubles, t: Doubles) -> Doubles:
    # `tiny` for latents of length 0, which count as parallel to any other.
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.sum(a * b, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    straight = sine < _PARALLEL
    divisor = np.where(straight, 1.0, sine)
    of_a = np.where(straight, 1.0 - t, np.sin((1.0 - t) * angle) / divisor)
    of_b = np.where(straight, t, np.sin(t * angle) / divisor)
    return of_a[:, None] * a + of_b[:, None] * b


# Linear interpolation, then a transport to uniform values in [-1, 1] again (Agustsson et al. 2019, arXiv 1711.01970).
# The sum of two uniform values is distributed as a trapezoid: it is mapped to the uniform value of the same rank, 2 F -
# 1 with F its cumulative distribution; at both ends that is the identity.
def _transported(a: Doubles, b: Doubles, t: Doubles) -> Doubles:
    straight = (1.0 - t) * a + t * b
    # Linear interpolation adds values uniform in [-wide, wide] and [-narrow, narrow].
    wide, narrow = np.maximum(t, 1.0 - t), np.minimum(t, 1.0 - t)
    size = np.abs(straight)
    # Flat up to wide - narrow, then falling to 0 at wide + narrow = 1.
    slope = 1.0 - (1.0 - size) ** 2 / (4.0 * wide * np.maximum(narrow, np.finfo(np.float64).tiny))
    rank = np.where(size <= wide - narrow, straight / wide, np.copysign(slope, straight))
    # Equal values are not independent, so their mixture is no trapezoid.
    return np.where(a == b, a, rank)
