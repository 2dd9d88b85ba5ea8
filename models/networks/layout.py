"""Layers that keep to the layout of the convolutions beside them, channels last, while a network is trained.

Where two layouts meet, activations and their derivatives run value by value: beside small convolutions that was a tenth
of the step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Unflatten(nn.Unflatten):
    """Give features `[N, C * H * W]` the shape `[N, C, H, W]`."""

    def forward(self, x: Tensor) -> Tensor:
        """Give `x` in its new shape."""
        shaped: Tensor = super().forward(x)
        return shaped.contiguous(memory_format=torch.channels_last) if self.training else shaped


class Flatten(nn.Flatten):
    """Give features `[N, C, H, W]` the shape `[N, C * H * W]`, and gradients the layout of the features."""

    def forward(self, x: Tensor) -> Tensor:
        """Give `x` in its new shape."""
        # Compiled code lays out gradients itself, and knows no hooks.
        if x.requires_grad and self.training and not torch.compiler.is_compiling():
            x.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        flat: Tensor = super().forward(x)
        return flat


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
