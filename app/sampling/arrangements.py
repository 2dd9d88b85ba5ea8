"""Arranged images: between seeds, across classes, over truncations, along a closed path."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.sampling.images import Description, ImageSequence, label_input
from models.config.inputs import LatentInput
from models.config.networks import GeneratorConfig
from models.inputs import Inputs, Labels, Latents, make_inputs, make_labels, truncate
from models.interpolation import Doubles, interpolate
from models.latents import draw_latents

Indices = NDArray[np.int64]


class Arrangement(ImageSequence):
    """Images in rows; the frames of a walk are one row."""

    kind: ClassVar[str]
    seeds: tuple[int, ...]

    @property
    def seed_text(self) -> str:
        return ",".join(map(str, self.seeds))

    @abstractmethod
    def row_length(self) -> int:
        """Return the images per row."""

    @abstractmethod
    def choices(self) -> dict[str, object]:
        """Return the parameters beside kind, seeds and places, as JSON values."""

    def etag_parts(self) -> tuple[object, ...]:
        return ("structured", self.seeds, self.row_length(), len(self), {"kind": self.kind, **self.choices()})

    def png_text(self, index: int) -> dict[str, str]:
        row, column = divmod(index, self.row_length())
        return {"seed": self.seed_text, "kind": self.kind, "first cell": f"{row},{column}"}

    def common(self) -> Mapping[str, object]:
        return {"seeds": self.seeds, "kind": self.kind, **self.choices()}

    def places(self) -> list[Description]:
        positions = (divmod(index, self.row_length()) for index in range(len(self)))
        return [{"row": row, "column": column} for row, column in positions]


@dataclass(frozen=True)
class Between(Arrangement):
    """A grid between seeds, row by row.

    Args:
        seeds: two: each row leads from its image of the first seed to its image of the second, the first row from image
            0 to image 0. Four: image 0 of each is a corner: top left, top right, bottom left, bottom right.
        rows: at least one; two between four seeds.
        columns: at least two.
        label: the class of every image; None: that of the nearest seed's image.
    """

    kind = "interpolate"

    generator: GeneratorConfig
    seeds: tuple[int, ...]
    rows: int
    columns: int
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return self.rows * self.columns

    def row_length(self) -> int:
        return self.columns

    def inputs(self, start: int, stop: int) -> Inputs:
        row, column = np.divmod(np.arange(start, stop), self.columns)
        latent = _latent_input(self.generator)
        across = column / (self.columns - 1)
        if len(self.seeds) == 2:
            first, second = (draw_latents(latent, seed, row) for seed in self.seeds)
            z = interpolate(latent, first, second, across)
        else:
            corners = np.repeat(_first_latents(latent, self.seeds)[:, None], len(row), axis=1)
            top_left, top_right, bottom_left, bottom_right = corners
            top = interpolate(latent, top_left, top_right, across)
            bottom = interpolate(latent, bottom_left, bottom_right, across)
            down = row / (self.rows - 1)
            z = interpolate(latent, top, bottom, down)
        return _interpolated(self.generator, truncate(z, self.psi), self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels | None:
        row, column = np.divmod(np.arange(start, stop), self.columns)
        nearest = (column / (self.columns - 1) > 0.5).astype(np.int64)
        if len(self.seeds) == 4:
            nearest += 2 * (row / (self.rows - 1) > 0.5)
            row = np.zeros_like(row)
        labels = _labels(self.generator, self.seeds, row, self.label)
        return None if labels is None else labels[nearest, np.arange(stop - start)]

    def choices(self) -> dict[str, object]:
        return {"psi": self.psi, "class": self.label}


@dataclass(frozen=True)
class LoopPath(Arrangement):
    """The frames of a walk from image 0 of each seed to that of the next, and from the last back to the first.

    The frame after the last would equal the first. All legs take the same time.

    Args:
        seeds: at least two.
        frames: at least as many.
        label: the class of every image; None: that of the nearest seed's image.
    """

    kind = "walk"

    generator: GeneratorConfig
    seeds: tuple[int, ...]
    frames: int
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return self.frames

    def row_length(self) -> int:
        return self.frames

    def inputs(self, start: int, stop: int) -> Inputs:
        count = len(self.seeds)
        leg, t = self._positions(start, stop)
        latent = _latent_input(self.generator)
        stops = _first_latents(latent, self.seeds)
        z = interpolate(latent, stops[leg], stops[(leg + 1) % count], t)
        return _interpolated(self.generator, truncate(z, self.psi), self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels | None:
        leg, t = self._positions(start, stop)
        labels = _labels(self.generator, self.seeds, np.zeros(1, np.int64), self.label)
        return None if labels is None else labels[(leg + (t > 0.5)) % len(self.seeds), 0]

    def choices(self) -> dict[str, object]:
        return {"psi": self.psi, "class": self.label}

    def _positions(self, start: int, stop: int) -> tuple[Indices, Doubles]:
        """Return the leg that each frame is on, and how far along it is."""
        # In whole numbers, so that a frame at a seed is exactly there.
        leg, rest = np.divmod(np.arange(start, stop) * len(self.seeds), self.frames)
        return leg, rest / self.frames


@dataclass(frozen=True)
class PerClass(Arrangement):
    """A grid with a row per class of a conditional generator and a column per image of a seed."""

    kind = "classes"

    generator: GeneratorConfig
    seeds: tuple[int]
    columns: int
    psi: float = 1.0

    def __len__(self) -> int:
        return self.generator.classes * self.columns

    def row_length(self) -> int:
        return self.columns

    def inputs(self, start: int, stop: int) -> Inputs:
        index = np.arange(start, stop) % self.columns
        specs = self.generator.inputs
        return make_inputs(specs, self.seeds[0], index, psi=self.psi, label=self.labels(start, stop))

    def labels(self, start: int, stop: int) -> Labels:
        return np.arange(start, stop) // self.columns

    def choices(self) -> dict[str, object]:
        return {"psi": self.psi, "class": None}


@dataclass(frozen=True)
class PsiSweep(Arrangement):
    """A grid with a row per image of a seed and a column per truncation.

    Args:
        psis: at least one.
        label: the class of every image; None: each row's is drawn from the seed.
    """

    kind = "truncation"

    generator: GeneratorConfig
    seeds: tuple[int]
    rows: int
    psis: tuple[float, ...]
    label: int | None = None

    def __len__(self) -> int:
        return self.rows * len(self.psis)

    def row_length(self) -> int:
        return len(self.psis)

    def inputs(self, start: int, stop: int) -> Inputs:
        index, column = np.divmod(np.arange(start, stop), len(self.psis))
        psi = np.array(self.psis, np.float32)[column]
        return make_inputs(self.generator.inputs, self.seeds[0], index, psi=psi, label=self.label)

    def labels(self, start: int, stop: int) -> Labels | None:
        labels = _labels(self.generator, self.seeds, np.arange(start, stop) // len(self.psis), self.label)
        return None if labels is None else labels[0]

    def choices(self) -> dict[str, object]:
        return {"psi": self.psis if len(self.psis) > 1 else self.psis[0], "class": self.label}


def _latent_input(generator: GeneratorConfig) -> LatentInput:
    return next(spec for spec in generator.inputs.values() if isinstance(spec, LatentInput))


def _first_latents(latent: LatentInput, seeds: tuple[int, ...]) -> Latents:
    """Draw image 0 of each seed: float32 `[seeds, dim]`."""
    return draw_latents(latent, np.array(seeds, np.uint64), np.zeros(len(seeds), np.int64))


def _interpolated(generator: GeneratorConfig, z: Latents, labels: Labels | None) -> Inputs:
    arrays = {name: z if isinstance(spec, LatentInput) else labels for name, spec in generator.inputs.items()}
    return Inputs({name: array for name, array in arrays.items() if array is not None})


def _labels(generator: GeneratorConfig, seeds: tuple[int, ...], images: Indices, label: int | None) -> Labels | None:
    """Return the classes of some images of each seed, int64 `[seeds, images]`; None if there are none."""
    if (spec := label_input(generator)) is None:
        return None
    keys, indices = np.repeat(np.array(seeds, np.uint64), len(images)), np.tile(images, len(seeds))
    return make_labels(spec, keys, indices, label).reshape(len(seeds), len(images))
