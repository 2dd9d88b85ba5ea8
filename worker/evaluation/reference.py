"""One set of images reduced to what measures need, and the data's set with which every other one is compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from worker.evaluation.diversity import COUNT, spread
from worker.evaluation.samples import to_float
from worker.evaluation.sliced import DIRECTIONS, PATCH, PATCHES, Patches, SlicedWasserstein, sizes

SLICED: Final = "sliced_wasserstein"
DIVERSITY: Final = "diversity"


@dataclass(frozen=True)
class Collected:
    """A set of images, reduced.

    Attributes:
        count: of the images.
        few: float32 `[n, C, H, W]`, the first 500 of them.
        patches: of all of them.
    """

    count: int
    few: Tensor
    patches: Patches


def collect(batches: Iterable[Tensor], count: int) -> Collected:
    """Reduce `count` images, uint8 `[B, C, H, W]` in batches; no more than a few batches are ever held."""
    few: list[Tensor] = []
    patches: Patches | None = None
    for batch in batches:
        images = to_float(batch)
        if patches is None:
            patches = Patches(count, batch.shape[-1], batch.shape[1], batch.device)
        patches.add(images)
        if sum(map(len, few)) < COUNT:
            few.append(images)
    assert patches is not None, "there is an image at least"
    return Collected(count, torch.cat(few)[:COUNT], patches)


@dataclass(frozen=True)
class Measured:
    """One measure's value for a set of images, and its deviation over blocks of them where it has one."""

    value: float
    deviation: float | None = None


class Reference:
    """The data's side of every comparison."""

    def __init__(self, real: Collected) -> None:
        self.count = real.count
        self._few = real.few
        self._sliced = SlicedWasserstein(real.patches)

    def compare(self, other: Collected) -> dict[str, Measured]:
        """Measure another set against this one, by the measures' names."""
        return {
            SLICED: Measured(self._sliced.distance(other.patches)),
            DIVERSITY: Measured(self._diversity(other.few)),
        }

    def _diversity(self, few: Tensor) -> float:
        """Give how many times as far apart as real images some others are; 1 is as far."""
        count = min(len(few), len(self._few))
        real = spread(self._few[:count])
        return spread(few[:count]) / real if real > 0 else 1.0


def methods(size: int) -> dict[str, str]:
    """Say how each measure is taken of images of `size` px; what is written here decides what may be compared."""
    sides = "/".join(map(str, sizes(size)))
    return {
        SLICED: f"{PATCHES} patches of {PATCH} px at {sides} px, {DIRECTIONS} directions, x1000, v1",
        DIVERSITY: f"mean distance to the nearest of {COUNT} images, pixels, over the same of real images, v1",
    }
