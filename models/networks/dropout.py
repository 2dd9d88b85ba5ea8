"""Dropout whose masks cost little on the CPU, where torch draws them one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

_LEVELS = 1 << 16
_LOWEST = -(1 << 15)


class Dropout(nn.Module):
    """Zero each value with probability `p` while training, and scale the others so that the mean stays.

    On the CPU one 64-bit draw of torch's generator decides four values, and `p` is rounded to a multiple of 1/65536
    (0.3 becomes 0.300003); a mask then costs a tenth of `nn.Dropout`'s, which took a sixth of a small network's step.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._threshold = round(p * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """Give `x` with a part of it zeroed, of the same shape."""
        if not self.training or x.device.type != "cpu":
            return dropout(x, self.p, self.training)
        return x * self._mask(x)

    def _mask(self, x: Tensor) -> Tensor:
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        return (bits >= _LOWEST + self._threshold).to(x.dtype).mul_(_LEVELS / (_LEVELS - self._threshold))

    def extra_repr(self) -> str:
        """Show the probability, as `nn.Dropout` does."""
        return f"p={self.p}"
