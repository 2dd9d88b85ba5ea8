"""Interpolation between latents that stays where a generator was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config.inputs import Latent

Reals = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# Below this sine of the angle between two latents they are parallel, or opposite, as far as float32 can tell.
_PARALLEL = 1e-6


def interpolate(latent: Latent, a: Reals, b: Reals, t: Doubles) -> Doubles:
    """Interpolate between latents; the results are as typical of the prior as they are.

    Args:
        latent: their prior: spherical interpolation for a normal one, transported for a uniform one.
        a: `[n, dim]`, where t is 0: exactly `a` there.
        b: `[n, dim]`, where t is 1: exactly `b` there.
        t: `[n]`, each 0 to 1.

    Returns:
        `[n, dim]`; each row depends on its own arguments alone.
    """
    if latent.prior == "uniform":
        return _transported(a.astype(np.float64), b.astype(np.float64), t[:, None])
    return _spherical(a.astype(np.float64), b.astype(np.float64), t)


def _spherical(a: Doubles, b: Doubles, t: Doubles) -> Doubles:
    """Turn from `a` to `b` at constant angular speed (Shoemake 1985, section 3.3, doi 10.1145/325334.325242).

    Normal latents of many dimensions lie near a sphere, and the straight way leads through its hollow inside
    (White 2016, arXiv 1609.04468, section 2.1). Latents on one line, which is all there are in one dimension, span no
    plane to turn in: the way is straight then, and between opposite ones leads through 0, the mean image.
    """
    # tiny: latents of length 0 are on one line with every other.
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.sum(a * b, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    straight = sine < _PARALLEL
    divisor = np.where(straight, 1.0, sine)
    of_a = np.where(straight, 1.0 - t, np.sin((1.0 - t) * angle) / divisor)
    of_b = np.where(straight, t, np.sin(t * angle) / divisor)
    return of_a[:, None] * a + of_b[:, None] * b


def _transported(a: Doubles, b: Doubles, t: Doubles) -> Doubles:
    """Go straight, then spread each value over [-1, 1] evenly again (Agustsson et al. 2019, arXiv 1711.01970).

    A turn would leave the cube that uniform latents fill, and the straight way draws them to its middle: there a value
    is distributed as a trapezoid. It is mapped to the uniform value of the same rank, 2 F - 1 with F the trapezoid's
    cumulative distribution; at both ends that is the identity. Equal values stay as they are.
    """
    straight = (1.0 - t) * a + t * b
    # The straight way adds values uniform in [-wide, wide] and [-narrow, narrow]: their sum is a trapezoid.
    wide, narrow = np.maximum(t, 1.0 - t), np.minimum(t, 1.0 - t)
    size = np.abs(straight)
    # Flat up to wide - narrow, then falling to 0 at wide + narrow = 1.
    slope = 1.0 - (1.0 - size) ** 2 / (4.0 * wide * np.maximum(narrow, np.finfo(np.float64).tiny))
    rank = np.where(size <= wide - narrow, straight / wide, np.copysign(slope, straight))
    # Equal values are not independent, so their mixture is no trapezoid.
    return np.where(a == b, a, rank)
