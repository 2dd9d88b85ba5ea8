"""The moving average of the generator's weights: what snapshots show and what is published."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_RAMP_UP = 0.05


def decay(images: float, half_life: float) -> float:
    """Give the share of the old average that stays after `images` more images: 0.5^(images / half-life).

    Args:
        images: real images since the last update of the average.
        half_life: in images; 0 makes the average the last weights.
    """
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0


def half_life(wanted: float, images: float) -> float:
    """Give the half-life to use after `images` images: at most a twentieth of them.

    So the first, random weights are soon forgotten, and a short run is no average of its beginning (as in StyleGAN2,
    arXiv 1912.04958, whose code calls it `ema_rampup`).
    """
    return min(wanted, _RAMP_UP * images)


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, keep: float | Tensor) -> None:
    """Move `average` towards `network`, parameter by parameter, and copy the buffers (batch norm's statistics)."""
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(network.parameters())
    if isinstance(keep, Tensor):
        moves = torch._foreach_sub(new, old)
        torch._foreach_mul_(moves, 1.0 - keep)
        torch._foreach_add_(old, moves)
    else:
        torch._foreach_lerp_(old, new, 1.0 - keep)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        target.copy_(source)
