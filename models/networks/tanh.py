"""A generator's last activation, in full precision whatever comes before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Tanh(nn.Module):
    """Squash pixels into [-1, 1], as float32.

    In bfloat16 everything beyond 0.998 becomes 1, where the gradient is exactly 0: black and white pixels would never
    move again.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Give float32 of the same shape."""
        return torch.tanh(x.float())
