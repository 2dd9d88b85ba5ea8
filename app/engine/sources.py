"""Sources of pictures that mean something as a whole: between seeds, across classes, over truncations, round a loop.

Every image of a seed in them has the very inputs that it has by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.engine.inputs import Inputs, Labels, Latents
from models.config.networks import GeneratorConfig
from models.interpolation import Doubles, between
from models.latents import classes, latents

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Between:
    """A grid between seeds, row by row.

    Args:
        seeds: two: each row leads from its image of the first seed to its image of the second, the first row from image
            0 to image 0. Four: image 0 of each is a corner: top left, top right, bottom left, bottom right.
        rows: at least one; two between four seeds.
        columns: at least two.
        label: the class of every image, for a conditional generator; None: that of the nearest seed's image.
    """

    generator: GeneratorConfig
    seeds: tuple[int, ...]
    rows: int
    columns: int
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return self.rows * self.columns

    def inputs(self, start: int, stop: int) -> Inputs:
        """Interpolate across, and between four seeds then down."""
        row, column = np.divmod(np.arange(start, stop), self.columns)
        latent = self.generator.latent
        across = column / (self.columns - 1)
        if len(self.seeds) == 2:
            first, second = (latents(latent, seed, row) for seed in self.seeds)
            z = between(latent, first, second, across)
        else:
            corners = np.repeat(_firsts(self.generator, self.seeds)[:, None], len(row), axis=1)
            top_left, top_right, bottom_left, bottom_right = corners
            top = between(latent, top_left, top_right, across)
            bottom = between(latent, bottom_left, bottom_right, across)
            down = row / (self.rows - 1)
            z = between(latent, top, bottom, down)
        return Inputs(_truncated(z, self.psi), self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels | None:
        """Give the classes of some images; None where the generator is not conditional."""
        row, column = np.divmod(np.arange(start, stop), self.columns)
        nearest = (column / (self.columns - 1) > 0.5).astype(np.int64)
        if len(self.seeds) == 4:
            nearest += 2 * (row / (self.rows - 1) > 0.5)
            row = np.zeros_like(row)
        labels = _labels(self.generator, self.seeds, row, self.label)
        return None if labels is None else labels[nearest, np.arange(stop - start)]


@dataclass(frozen=True, slots=True)
class Loop:
    """The frames of a walk from image 0 of each seed to that of the next, and from the last back to the first.

    The frame after the last would be the first one again. Each leg takes as long as any other.

    Args:
        seeds: at least two.
        frames: at least as many.
        label: the class of every image, for a conditional generator; None: that of the nearest seed's image.
    """

    generator: GeneratorConfig
    seeds: tuple[int, ...]
    frames: int
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return self.frames

    def inputs(self, start: int, stop: int) -> Inputs:
        """Interpolate along the legs that these frames are on."""
        count = len(self.seeds)
        leg, t = self._places(start, stop)
        stops = _firsts(self.generator, self.seeds)
        z = between(self.generator.latent, stops[leg], stops[(leg + 1) % count], t)
        return Inputs(_truncated(z, self.psi), self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels | None:
        """Give the classes of some frames; None where the generator is not conditional."""
        leg, t = self._places(start, stop)
        labels = _labels(self.generator, self.seeds, np.zeros(1, np.int64), self.label)
        return None if labels is None else labels[(leg + (t > 0.5)) % len(self.seeds), 0]

    def _places(self, start: int, stop: int) -> tuple[Indices, Doubles]:
        """Find the leg that each frame is on, and how far along: in whole numbers, so that one at a seed is there."""
        leg, rest = np.divmod(np.arange(start, stop) * len(self.seeds), self.frames)
        return leg, rest / self.frames


@dataclass(frozen=True, slots=True)
class PerClass:
    """A grid with a row per class of a conditional generator and a column per image of a seed."""

    generator: GeneratorConfig
    seed: int
    columns: int
    psi: float = 1.0

    def __len__(self) -> int:
        return self.generator.classes * self.columns

    def inputs(self, start: int, stop: int) -> Inputs:
        """Give each row the same latents."""
        index = np.arange(start, stop) % self.columns
        z = latents(self.generator.latent, self.seed, index)
        return Inputs(_truncated(z, self.psi), self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels:
        """Give each row's class."""
        return np.arange(start, stop) // self.columns


@dataclass(frozen=True, slots=True)
class Sweep:
    """A grid with a row per image of a seed and a column per truncation.

    Args:
        psis: at least one.
        label: the class of every image, for a conditional generator; None: each row's is drawn from the seed.
    """

    generator: GeneratorConfig
    seed: int
    rows: int
    psis: tuple[float, ...]
    label: int | None = None

    def __len__(self) -> int:
        return self.rows * len(self.psis)

    def inputs(self, start: int, stop: int) -> Inputs:
        """Shrink each row's latent by each column's factor."""
        index, column = np.divmod(np.arange(start, stop), len(self.psis))
        psi = np.array(self.psis, np.float32)[column]
        z = latents(self.generator.latent, self.seed, index) * psi[:, None]
        return Inputs(z, self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels | None:
        """Give each row's class; None where the generator is not conditional."""
        labels = _labels(self.generator, (self.seed,), np.arange(start, stop) // len(self.psis), self.label)
        return None if labels is None else labels[0]


Arranged = Between | Loop | PerClass | Sweep


def _firsts(generator: GeneratorConfig, seeds: tuple[int, ...]) -> Latents:
    """Draw image 0 of each seed: float32 `[seeds, dim]`."""
    return latents(generator.latent, np.array(seeds, np.uint64), np.zeros(len(seeds), np.int64))


def _truncated(z: Latents | Doubles, psi: float) -> Latents:
    """Round, then shrink as `Seeded` does."""
    return z.astype(np.float32) * np.float32(psi)


def _labels(generator: GeneratorConfig, seeds: tuple[int, ...], images: Indices, label: int | None) -> Labels | None:
    """Give the classes of some images of each seed, int64 `[seeds, images]`; None where there are none."""
    if not generator.classes:
        return None
    shape = len(seeds), len(images)
    if label is not None:
        return np.full(shape, label)
    keys, indices = np.repeat(np.array(seeds, np.uint64), len(images)), np.tile(images, len(seeds))
    return classes(keys, indices, generator.classes).reshape(shape)
