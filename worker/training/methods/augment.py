"""Adaptive augmentation: the probability of a change follows the discriminator's outputs (arXiv 2006.06676)."""

from __future__ import annotations

import torch
from torch import Tensor

_EVERY = 4  # batches between two adaptations
_TARGET = 0.6  # mean sign of D(x) where the discriminator begins to memorise the images
_SPEED = 500_000  # images in which the probability can go from 0 to 1


class Confidence:
    """The adapted probability: it grows while D(x) is mostly positive on the images trained on, and shrinks otherwise.

    Every 4 batches p moves by sign(E[sign D(x)] - 0.6) x 4 x batch / 500,000, within [0, limit] (arXiv 2006.06676,
    section 3.1; without the bound changes can leak into generated images). All of it is kept on the device, and nothing
    waits for it.
    """

    def __init__(self, device: torch.device) -> None:
        self.tensor = torch.zeros(3, dtype=torch.float64, device=device)
        """p, the sum of the batches' mean signs since it moved last, and their number."""

    @property
    def p(self) -> Tensor:
        """The probability, a scalar."""
        return self.tensor[0]

    @torch.no_grad()
    def see(self, sign: Tensor, batch: int, limit: float) -> None:
        """Take in what the discriminator said of a batch of real images: the mean sign of its outputs, a scalar."""
        p, signs, batches = self.tensor
        signs += sign
        batches += 1
        full = batches == _EVERY
        p += full * torch.sign(signs / _EVERY - _TARGET) * (_EVERY * batch / _SPEED)
        p.clamp_(0.0, limit)
        self.tensor[1:] *= ~full
