"""Batches of generator inputs: drawn from a seed, sliced, joined and padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config.inputs import InputSpec, LabelInput, LatentInput
from models.latents import draw_labels, draw_latents

Array = NDArray[Any]
Indices = NDArray[np.int64]
Labels = NDArray[np.int64]
Latents = NDArray[np.float32]
Seeds = int | NDArray[np.uint64]
Psi = float | NDArray[np.float32]
Specs = Mapping[str, InputSpec]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The inputs of `n` images by name, such as `z` and `label`.

    Attributes:
        arrays: each `[n, ...]`, in the order in which the generator takes them.
    """

    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def slice(self, start: int, stop: int) -> Inputs:
        """Return images `start` to `stop` - 1, as views."""
        # Views: requests in a queue are split without copying.
        return Inputs({name: array[start:stop] for name, array in self.arrays.items()})

    def pad(self, count: int) -> Inputs:
        """Return `count` images: these, then zeros."""
        missing = count - len(self)
        if missing == 0:
            return self
        return Inputs({name: _padded(array, missing) for name, array in self.arrays.items()})

    @staticmethod
    def concatenate(parts: Sequence[Inputs]) -> Inputs:
        """Join inputs of one generator, at least one part; a single part is returned as it is."""
        if len(parts) == 1:
            return parts[0]
        return Inputs({name: np.concatenate([part[name] for part in parts]) for name in parts[0].arrays})


def _padded(array: Array, missing: int) -> Array:
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])


def make_inputs(
    specs: Specs, seed: Seeds, indices: Indices, *, psi: Psi = 1.0, label: int | Labels | None = None
) -> Inputs:
    """Draw the inputs of images of one seed, or of a seed for each.

    Args:
        specs: inputs of the generator by name: latents and labels.
        seed: 0 to 2^63-1; or `[n]` of them.
        indices: `[n]`, each 0 to 2^63-1, of the images within their seed.
        psi: truncation, or `[n]` of them.
        label: the class of every image, or `[n]` of them; None draws one for each from its seed.

    Raises:
        ValueError: an input cannot be drawn from a seed, such as an image.
    """
    arrays: dict[str, Array] = {}
    for name, spec in specs.items():
        match spec:
            case LatentInput():
                arrays[name] = truncate(draw_latents(spec, seed, indices), psi)
            case LabelInput():
                arrays[name] = make_labels(spec, seed, indices, label)
            case _:
                raise ValueError(f'the input "{name}" is of kind {spec.kind}, which cannot be drawn from a seed')
    return Inputs(arrays)


def make_labels(spec: LabelInput, seed: Seeds, indices: Indices, label: int | Labels | None = None) -> Labels:
    """Return the class labels of images, int64 `[n]`: those given, else one drawn for each from its seed."""
    if label is None:
        return draw_labels(seed, indices, spec.classes)
    return np.full(len(indices), label) if isinstance(label, int) else label


def truncate(z: NDArray[np.floating[Any]], psi: Psi) -> Latents:
    """Scale latents `[n, dim]` towards their mean, 0.

    Args:
        psi: 1 leaves latents unchanged, 0 is the mean image; or `[n]`, one for each latent.
    """
    # Rounded first, so that a latent on a path has the same bytes as the one it was drawn from.
    rounded = z.astype(np.float32, copy=False)
    if isinstance(psi, np.ndarray):
        return rounded * psi[:, None]
    # Multiplied in float32, as on every path to these latents: equal requests, equal bytes.
    return rounded if psi == 1.0 else rounded * np.float32(psi)
