"""Adaptive augmentation: the probability of a change follows the discriminator's outputs (arXiv 2006.06676)."""

from __future__ import annotations

import torch
from torch import Tensor

_EVERY = 4  # batches between two adaptations
_TARGET = 0.6  # mean sign of D(x) where the discriminator begins to memorise the images
_SPEED = 500_000  # images in which the probability can go from 0 to 1


def new_adaptive_state(device: torch.device) -> Tensor:
    """Create float64 `[3]`: the probability, the sum of the batches' mean signs since it last moved, their number."""
    return torch.zeros(3, dtype=torch.float64, device=device)


@torch.no_grad()
def adapt(state: Tensor, sign: Tensor, batch_size: int, limit: float) -> None:
    """Move the probability by sign(E[sign D(x)] - 0.6) x 4 x batch / 500,000, every 4 batches (section 3.1).

    Args:
        state: see `new_adaptive_state`.
        sign: mean sign of the discriminator's outputs on one batch of real images, a scalar.
        limit: the largest probability.
    """
    p, signs, batches = state
    signs += sign
    batches += 1
    # All on the device, with masks instead of branches: reading a value would wait for the device, and a recorded round
    # cannot branch.
    full = batches == _EVERY
    p += full * torch.sign(signs / _EVERY - _TARGET) * (_EVERY * batch_size / _SPEED)
    # Changes that hit nearly every image leak into generated ones.
    p.clamp_(0.0, limit)
    state[1:] *= ~full
