"""The images that are compared: generated from fixed latents, and fixed subsets of the real ones.

Nothing here uses a random state of the training: latents are functions of a seed, and so are the subsets.
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

SEED: Final = 20_177_106  # of the latents of every evaluation, whatever the seed of the run
BATCH: Final = 50
# Part of every protocol: incremented when other real images, or another order of them, would be compared.
SPLIT_VERSION: Final = 2
_SPLIT_KEY: Final = 0x5EED

Indices = NDArray[np.int64]


class Split(NamedTuple):
    """Subsets of a data set, shuffled: metrics take the first images, or blocks of them.

    Attributes:
        reference: what generated images are compared with.
        baseline: two disjoint subsets, compared with each other for the baseline.
    """

    reference: Indices
    baseline: tuple[Indices, Indices]


def split_images(count: int, samples: int) -> Split:
    """Choose subsets of `count` images, each as large as the set of samples; halves of a smaller data set.

    Args:
        count: images in the data set; at least 2.
        samples: generated images that will be compared.
    """
    order = permutation(count)
    each = min(samples, count // 2)
    # Where the left half is as large as the set of samples it is the reference too: its statistics are computed once.
    left, right = order[each : 2 * each], order[:each]
    return Split(left if each == samples else order[:samples], (left, right))


def permutation(count: int) -> Indices:
    """Return the fixed shuffled order of `count` images, int64: the sorting order of Philox4x64-10 words."""
    # Ties of 64-bit words are as good as impossible; a stable sort settles even those.
    words = np.random.Philox(key=np.array([_SPLIT_KEY, count], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def real_batches(prepared: Prepared, indices: Indices, device: torch.device) -> Iterator[Tensor]:
    """Yield images of a data set, uint8 `[B, C, H, W]` on the device, in batches."""
    for start in range(0, len(indices), BATCH):
        yield torch.from_numpy(prepared.images[indices[start : start + BATCH]]).to(device)


def conditioning_labels(prepared: Prepared, samples: int) -> Indices:
    """Return labels for a conditional generator, int64 `[samples]`: each class as often as in the data."""
    assert prepared.labels is not None, "a conditional generator was trained on labels"
    # Labels of shuffled images, repeated for a data set of fewer images than samples.
    order = permutation(prepared.count)
    return prepared.labels[order[np.arange(samples) % prepared.count]]


class GeneratorSampler:
    """Generates images 0, 1, … of a seed.

    Args:
        config: of the generator.
        count: number of images.
        device: of the generator.
        labels: int64 `[count]` for a conditional generator.
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
