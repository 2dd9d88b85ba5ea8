"""Dropout whose masks cost little on the CPU, where torch draws them one by one, and fit a slice of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.networks.rows import Rows

_LEVELS = 1 << 16
_LOWEST = -(1 << 15)


class Dropout(nn.Module):
    """Zero each value with probability `p` while training, and scale the others so that the mean stays.

    On the CPU one 64-bit draw of torch's generator decides four values, and `p` is rounded to a multiple of 1/65536
    (0.3 becomes 0.300003); a mask then costs a tenth of `nn.Dropout`'s, which took a sixth of a small network's step.

    Attributes:
        rows: the slice of a batch that comes in, whose mask is that of the whole batch; None for whole batches.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.rows: Rows | None = None
        self._threshold = round(p * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """Give `x` with a part of it zeroed, of the same shape."""
        if not self.training:
            return x
        if self.rows is not None:
            whole = x.new_empty((self.rows.drawn(len(x)), *x.shape[1:]))
            return x * self.rows.of(self._mask(whole))
        return x * self._mask(x) if x.device.type == "cpu" else dropout(x, self.p)

    def _mask(self, x: Tensor) -> Tensor:
        """Draw what to multiply `x` by; elsewhere than on the CPU the very mask of torch's own dropout."""
        if x.device.type != "cpu":
            return dropout(torch.ones_like(x), self.p)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        return (bits >= _LOWEST + self._threshold).to(x.dtype).mul_(_LEVELS / (_LEVELS - self._threshold))

    def extra_repr(self) -> str:
        """Show the probability, as `nn.Dropout` does."""
        return f"p={self.p}"


def give_rows(network: nn.Module, rows: Rows | None) -> None:
    """Tell a network's dropout which slice of a batch comes in from now on; None for whole batches."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.rows = rows
