"""Random changes to images before the discriminator sees them, real and generated ones alike, and how often they hit.

So that it cannot learn a small data set by heart: differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738) with
a probability of each change, which can follow the discriminator's confidence (Karras et al. 2020, arXiv 2006.06676).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.config.training import Change
from models.networks.rows import Rows

_SHIFT = 0.125  # of the side, at most
_HOLE = 0.5  # of the side

_EVERY = 4  # batches between two adaptations
_TARGET = 0.6  # mean sign of D(x) where the discriminator begins to know the images
_SPEED = 500_000  # images in which the probability can go from 0 to 1


def augment(
    images: Tensor,
    changes: Sequence[Change],
    p: float | Tensor,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> Tensor:
    """Change images at random; twice differentiable with respect to them.

    Args:
        images: `[N, C, H, W]` in [-1, 1].
        changes: which kinds, applied in their own order.
        p: the probability with which each change hits an image, a number or a scalar on the images' device.
        generator: of that device.
        rows: which rows of a batch, or of several behind each other, the images are; None for whole batches.

    Returns:
        Images of the same shape, colours possibly beyond [-1, 1].
    """
    lots = _Lots(generator, rows)
    for change, apply in _CHANGES.items():
        if change in changes:
            images = apply(images, p, lots)
    return images


class _Lots(NamedTuple):
    """Draws for each image of a batch, and gives those of its rows."""

    generator: torch.Generator
    rows: Rows | None

    def numbers(self, images: Tensor, count: int) -> Tensor:
        """Draw `count` numbers in [0, 1) for each image, `[count, N]`."""
        held = len(images)
        whole = held if self.rows is None else self.rows.drawn(held)
        drawn = torch.rand((count, whole), generator=self.generator, device=images.device)
        return drawn if self.rows is None else self.rows.of(drawn.t()).t()

    def uniform(self, images: Tensor) -> Tensor:
        """Draw a number in [0, 1) for each image, `[N, 1, 1, 1]`."""
        return self.numbers(images, 1).view(-1, 1, 1, 1)

    def hits(self, images: Tensor, p: float | Tensor) -> Tensor:
        """Draw which images are hit: 1 or 0, `[N, 1, 1, 1]`."""
        return (self.uniform(images) < p).to(images.dtype)


def _color(images: Tensor, p: float | Tensor, lots: _Lots) -> Tensor:
    """Shift brightness by up to 0.5; scale saturation by 0 to 2 and contrast by 0.5 to 1.5, about their means."""
    shift = lots.uniform(images) - 0.5
    images = images + (shift * lots.hits(images, p)).to(images.dtype)
    for dimensions, spread in (((1,), 2.0), ((1, 2, 3), 1.0)):
        mean = images.mean(dimensions, keepdim=True)
        change = spread * (lots.uniform(images) - 0.5) * lots.hits(images, p)
        images = images + (images - mean) * change.to(images.dtype)
    return images


def _translation(images: Tensor, p: float | Tensor, lots: _Lots) -> Tensor:
    """Move by up to an eighth of the side in whole pixels, with grey (0) behind."""
    count, _, height, width = images.shape
    most = round(height * _SHIFT)
    shifts = (lots.numbers(images, 2) * (2 * most + 1)).long() - most
    down, right = shifts * lots.hits(images, p).flatten().long()
    rows = torch.arange(height, device=images.device) - down[:, None] + most
    columns = torch.arange(width, device=images.device) - right[:, None] + most
    padded = pad(images, (most, most, most, most)).permute(0, 2, 3, 1)
    every = torch.arange(count, device=images.device)[:, None, None]
    moved: Tensor = padded[every, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cutout(images: Tensor, p: float | Tensor, lots: _Lots) -> Tensor:
    """Grey out (0) a square of half the side around a random point."""
    _, _, height, width = images.shape
    side = round(height * _HOLE)
    centres = lots.numbers(images, 2)[:, :, None]
    rows = torch.arange(height, device=images.device) - (centres[0] * height).long() + side // 2
    columns = torch.arange(width, device=images.device) - (centres[1] * width).long() + side // 2
    hole = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[:, None, None, :]
    kept: Tensor = 1.0 - hole.to(images.dtype) * lots.hits(images, p)
    return images * kept


_CHANGES: Final[dict[Change, Callable[[Tensor, float | Tensor, _Lots], Tensor]]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


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
