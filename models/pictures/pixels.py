"""Pixels: values in [-1, 1] to uint8, floor((x + 1) * 127.5 + 0.5) clamped to 0..255, in numpy and in torch.

The mapping is fixed, never stretched to a batch's own range, so that an image does not depend on its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # at runtime only the tensor's own methods are used: encoders run without torch
    from torch import Tensor

Pixels = NDArray[np.uint8]


def to_uint8(x: NDArray[np.float32]) -> Pixels:
    """Convert an array to pixels of the same shape; NaN is black."""
    levels = np.floor((x + np.float32(1)) * np.float32(127.5) + np.float32(0.5))
    clamped: NDArray[np.float32] = np.fmin(np.fmax(levels, 0), 255)
    return clamped.astype(np.uint8)


def tensor_to_uint8(x: Tensor) -> Tensor:
    """Convert a float32 tensor to pixels on its own device, the same bytes as `to_uint8`."""
    # Conversion truncates, and after the clamp that is the floor.
    return x.add(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).byte()
