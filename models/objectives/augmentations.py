"""Differentiable augmentation: random changes to real and generated images before the discriminator.

Zhao et al. 2020, arXiv 2006.10738; a probability that follows the discriminator: Karras et al. 2020, arXiv 2006.06676.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from models.registry import Registry

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from models.networks.rows import Rows

_SHIFT = 0.125  # of height and width, at most
_HOLE = 0.5  # of height and width


class Draws(NamedTuple):
    """Random numbers for the images of some rows of a batch, drawn for the whole batch."""

    generator: Generator
    rows: Rows | None

    def numbers(self, images: Tensor, count: int) -> Tensor:
        """Draw `count` numbers in [0, 1) for each image, `[count, N]`."""
        # Imported here, so that configurations need no torch.
        import torch

        present = len(images)
        whole = present if self.rows is None else self.rows.drawn(present)
        drawn = torch.rand((count, whole), generator=self.generator, device=images.device)
        return drawn if self.rows is None else self.rows.of(drawn.t()).t()

    def uniform(self, images: Tensor) -> Tensor:
        """Draw a number in [0, 1) for each image, `[N, 1, 1, 1]`."""
        return self.numbers(images, 1).view(-1, 1, 1, 1)

    def hits(self, images: Tensor, p: float | Tensor) -> Tensor:
        """Draw which images are changed: 1 or 0, `[N, 1, 1, 1]`."""
        return (self.uniform(images) < p).to(images.dtype)


@dataclass(frozen=True)
class AugmentationSpec:
    """One kind of random change.

    Attributes:
        name: in configurations.
        title, sentence: shown to people.
        apply: maps images `[N, C, H, W]` in [-1, 1], the probability of a change, and draws to images like them.
        changes_color: whether brightness or colours change.
    """

    name: str
    title: str
    sentence: str
    apply: Callable[[Tensor, float | Tensor, Draws], Tensor]
    # In grey drawings brightness is the drawing itself.
    changes_color: bool = False


AUGMENTATIONS: Final[Registry[AugmentationSpec]] = Registry("augmentation")

# The policy of Zhao et al. 2020.
DIFF_AUGMENT: Final = ("color", "translation", "cutout")


def augment(
    images: Tensor, names: Collection[str], p: float | Tensor, generator: Generator, rows: Rows | None = None
) -> Tensor:
    """Change images at random; twice differentiable with respect to them.

    Args:
        images: `[N, C, H, W]` in [-1, 1].
        names: kinds of changes, applied in the order of their registration.
        p: the probability of each change for each image, a number or a scalar on the images' device.
        rows: the rows of a batch, or of several in sequence, that the images are; None for whole batches.

    Returns:
        Images of the same shape, colours possibly beyond [-1, 1].
    """
    draws = Draws(generator, rows)
    for spec in AUGMENTATIONS:
        if spec.name in names:
            images = spec.apply(images, p, draws)
    return images


def _color(images: Tensor, p: float | Tensor, draws: Draws) -> Tensor:
    shift = draws.uniform(images) - 0.5
    images = images + (shift * draws.hits(images, p)).to(images.dtype)
    # Saturation is scaled about the mean of a pixel's channels, contrast about that of the image.
    for dimensions, spread in (((1,), 2.0), ((1, 2, 3), 1.0)):
        mean = images.mean(dimensions, keepdim=True)
        change = spread * (draws.uniform(images) - 0.5) * draws.hits(images, p)
        images = images + (images - mean) * change.to(images.dtype)
    return images


def _translation(images: Tensor, p: float | Tensor, draws: Draws) -> Tensor:
    import torch
    from torch.nn.functional import pad

    count, _, height, width = images.shape
    most_down, most_right = round(height * _SHIFT), round(width * _SHIFT)
    numbers = draws.numbers(images, 2)
    # Shifts of images without a change are multiplied by 0: no branch depends on a value on the device.
    hits = draws.hits(images, p).flatten().long()
    down = ((numbers[0] * (2 * most_down + 1)).long() - most_down) * hits
    right = ((numbers[1] * (2 * most_right + 1)).long() - most_right) * hits
    # Gather from a padded copy: each image has its own shift, which no single slice can express.
    rows = torch.arange(height, device=images.device) - down[:, None] + most_down
    columns = torch.arange(width, device=images.device) - right[:, None] + most_right
    padded = pad(images, (most_right, most_right, most_down, most_down)).permute(0, 2, 3, 1)
    every = torch.arange(count, device=images.device)[:, None, None]
    moved: Tensor = padded[every, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cutout(images: Tensor, p: float | Tensor, draws: Draws) -> Tensor:
    import torch

    _, _, height, width = images.shape
    high, wide = round(height * _HOLE), round(width * _HOLE)
    centres = draws.numbers(images, 2)[:, :, None]
    # Positions relative to the hole's upper left corner.
    rows = torch.arange(height, device=images.device) - (centres[0] * height).long() + high // 2
    columns = torch.arange(width, device=images.device) - (centres[1] * width).long() + wide // 2
    hole = ((rows >= 0) & (rows < high))[:, None, :, None] & ((columns >= 0) & (columns < wide))[:, None, None, :]
    kept: Tensor = 1.0 - hole.to(images.dtype) * draws.hits(images, p)
    return images * kept


AUGMENTATIONS.register(
    AugmentationSpec(
        name="color",
        title="Colour",
        sentence="Brightness shifts by up to 0.5; saturation scales by 0 to 2, contrast by 0.5 to 1.5.",
        apply=_color,
        changes_color=True,
    )
)
AUGMENTATIONS.register(
    AugmentationSpec(
        name="translation",
        title="Translation",
        sentence="Images move by up to an eighth of their side, with grey behind them.",
        apply=_translation,
    )
)
AUGMENTATIONS.register(
    AugmentationSpec(
        name="cutout",
        title="Cutout",
        sentence="A square of half the side around a random point becomes grey.",
        apply=_cutout,
    )
)
