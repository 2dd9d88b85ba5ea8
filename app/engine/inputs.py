"""What generators are fed: latents, and labels for conditional ones; a request's `Source` says which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.config.networks import GeneratorConfig
from models.latents import classes, latents

Latents = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of some images.

    Args:
        z: float32 `[n, dim]`.
        labels: int64 `[n]` for a conditional generator, None for any other.
    """

    z: Latents
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.z)

    def part(self, start: int, stop: int) -> Inputs:
        """Give the inputs of images `start` to `stop` - 1, without copying."""
        return Inputs(self.z[start:stop], None if self.labels is None else self.labels[start:stop])

    @staticmethod
    def joined(parts: Sequence[Inputs]) -> Inputs:
        """Put the inputs of one generator's images one after another."""
        if len(parts) == 1:
            return parts[0]
        labels = [part.labels for part in parts if part.labels is not None]
        return Inputs(np.concatenate([part.z for part in parts]), np.concatenate(labels) if labels else None)


class Source(Protocol):
    """A request's images in order, as inputs that are made when their turn comes."""

    def __len__(self) -> int: ...

    def inputs(self, start: int, stop: int) -> Inputs:
        """Make the inputs of images `start` to `stop` - 1: the same whatever else is asked for."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Some images of a seed.

    Args:
        seed: 0 to 2^63-1.
        indices: which images of the seed, one after another; at least one.
        psi: truncation: these families have no mapped latent, so `z` itself shrinks towards 0. 1 leaves it as is.
        label: the class of every image, for a conditional generator; None: each has one drawn from the seed.
    """

    generator: GeneratorConfig
    seed: int
    indices: range
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def inputs(self, start: int, stop: int) -> Inputs:
        """Draw the latents, and classes if any, of the `start`-th to the one before the `stop`-th of the indices."""
        part = self.indices[start:stop]
        indices = np.arange(part.start, part.stop)
        z = latents(self.generator.latent, self.seed, indices)
        return Inputs(z if self.psi == 1.0 else z * np.float32(self.psi), self.labels(indices))

    def labels(self, indices: NDArray[np.int64]) -> Labels | None:
        """Give the classes of some of the seed's images; None where the generator is not conditional."""
        if not self.generator.classes:
            return None
        if self.label is not None:
            return np.full(len(indices), self.label)
        return classes(self.seed, indices, self.generator.classes)
