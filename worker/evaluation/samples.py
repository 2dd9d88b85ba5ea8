"""The images that are compared: a generator's from fixed latents, and fixed choices of the data's.

Nothing here draws from a random state that a training uses: latents are functions of a seed, choices of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.config.networks import GeneratorConfig
from models.inference import run_generator
from models.inputs import make_inputs
from worker.data.prepared import Prepared

SEED: Final = 20_177_106  # the latents of every evaluation, whatever the run's own seed
BATCH: Final = 50
CHOICE: Final = 2
"""Counts the ways in which real images were chosen: raise it when other ones, or another order, would be."""
_CHOICE: Final = 0x5EED  # key of the choices among real images

Indices = NDArray[np.int64]


class Split(NamedTuple):
    """Choices of a data set's images, in no order of the data's: measures take the first ones, or blocks.

    Attributes:
        reference: what samples are compared with.
        baseline: two disjoint choices, compared with each other for the baseline.
    """

    reference: Indices
    baseline: tuple[Indices, Indices]


def split(count: int, samples: int) -> Split:
    """Choose among `count` images: as many as there are samples for each, or for the floor halves of a smaller set.

    Args:
        count: images in the data set; at least 2.
        samples: generated images that will be compared.
    """
    order = permutation(count)
    each = min(samples, count // 2)
    left, right = order[each : 2 * each], order[:each]
    return Split(left if each == samples else order[:samples], (left, right))


def permutation(count: int) -> Indices:
    """Give the one order of `count` things that evaluations use: the sorting order of Philox4x64-10 words."""
    words = np.random.Philox(key=np.array([_CHOICE, count], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def real(prepared: Prepared, indices: Indices, device: torch.device) -> Iterator[Tensor]:
    """Give images of a data set, uint8 `[B, C, H, W]` on the device, in batches."""
    for start in range(0, len(indices), BATCH):
        yield torch.from_numpy(prepared.images[indices[start : start + BATCH]]).to(device)


def conditions(prepared: Prepared, samples: int) -> Indices:
    """Give the classes to ask a conditional generator for, int64 `[samples]`: as often as they occur in the data."""
    assert prepared.labels is not None, "a conditional generator was trained on labels"
    order = permutation(prepared.count)
    return prepared.labels[order[np.arange(samples) % prepared.count]]


class GeneratorSampler:
    """Draws a generator's images number 0, 1, … of the evaluations' seed.

    Args:
        config: what the generator is.
        count: of samples.
        device: where it lives.
        labels: int64 `[count]` for a conditional one.
        seed: of the latents.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        count: int,
        device: torch.device,
        labels: Indices | None = None,
        seed: int = SEED,
    ) -> None:
        self.count = count
        self._config = config
        self._device = device
        self._labels = labels
        self._seed = seed

    def draw(self, generator: nn.Module) -> Iterator[Tensor]:
        """Yield the images of a generator in evaluation mode, uint8 `[B, C, H, W]` on the device, in batches."""
        for start in range(0, self.count, BATCH):
            indices = np.arange(start, min(start + BATCH, self.count))
            labels = None if self._labels is None else self._labels[indices]
            inputs = make_inputs(self._config.inputs, self._seed, indices, label=labels)
            yield run_generator(generator, inputs, device=self._device)


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)
