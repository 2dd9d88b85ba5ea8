"""The images that are compared: generated from fixed latents, and fixed subsets of the real ones."""

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

# Latents and subsets are functions of fixed seeds: nothing here changes a random state of the training.
SEED: Final = 20_177_106  # of the latents of every evaluation, whatever the seed of the run
BATCH: Final = 50
# Part of every protocol: incremented when other real images, or another order of them, would be compared.
SPLIT_VERSION: Final = 2
_SPLIT_KEY: Final = 0x5EED

Indices = NDArray[np.int64]


class Split(NamedTuple):
    """Shuffled subsets of a data set.

    Attributes:
        reference: compared with generated images.
        baseline: two disjoint subsets, compared with each other.
    """

    # Shuffled, because metrics take the first images, or blocks of them.
    reference: Indices
    baseline: tuple[Indices, Indices]


def split_images(count: int, samples: int) -> Split:
    """Choose subsets of `count` images (2 or more), each as large as the set of samples; halves of smaller sets."""
    order = permutation(count)
    each = min(samples, count // 2)
    # Where the left half is as large as the set of samples it is the reference too: its statistics are computed once.
    left, right = order[each : 2 * each], order[:each]
    return Split(left if each == samples else order[:samples], (left, right))


def permutation(count: int) -> Indices:
    """Return a fixed random order of `count` images, int64: the sorting order of Philox4x64-10 words."""
    # A stable sort, for the improbable case of equal words.
    words = np.random.Philox(key=np.array([_SPLIT_KEY, count], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def real_batches(prepared: Prepared, indices: Indices, device: torch.device) -> Iterator[Tensor]:
    """Yield images of a data set, uint8 `[B, C, H, W]` on the device, in batches."""
    for start in range(0, len(indices), BATCH):
        yield torch.from_numpy(prepared.images[indices[start : start + BATCH]]).to(device)


def conditioning_labels(prepared: Prepared, samples: int) -> Indices:
    """Return labels for a conditional generator, int64 `[samples]`, with the frequencies of the data."""
    assert prepared.labels is not None, "a conditional generator was trained on labels"
    # Labels of shuffled images, repeated for a data set of fewer images than samples.
    order = permutation(prepared.count)
    return prepared.labels[order[np.arange(samples) % prepared.count]]


class GeneratorSampler:
    """Generates images 0 to `count` - 1 of a seed.

    Args:
        labels: int64 `[count]` for a conditional generator.
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

    def generate(self, generator: nn.Module) -> Iterator[Tensor]:
        """Yield the images of a generator in evaluation mode, uint8 `[B, C, H, W]` on the device, in batches."""
        for start in range(0, self.count, BATCH):
            indices = np.arange(start, min(start + BATCH, self.count))
            labels = None if self._labels is None else self._labels[indices]
            inputs = make_inputs(self._config.inputs, self._seed, indices, label=labels)
            yield run_generator(generator, inputs, device=self._device)


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 pixels to float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)
