"""Snapshot grids: images of fixed latents during a training, and real images in the same layout."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from models import pictures
from models.config.networks import GeneratorConfig
from models.inference import run_generator
from models.inputs import Indices, Labels, make_inputs
from worker.data.prepared import Prepared

SIDE = 8
_BATCH = SIDE * SIDE
_ROWS = 32
_MOST = 1024


class SnapshotRenderer:
    """Renders images of fixed latents as a grid: those that sampling returns for the seed of the run.

    There are 8x8. A conditional generator has a row for each class, with the same 8 latents in each; one with more than
    32 classes has one image of each of the first 1,024, all of the same latent.
    """

    def __init__(self, config: GeneratorConfig, seed: int, device: torch.device) -> None:
        indices, labels, self._nrow = grid_layout(config.classes)
        self._inputs = make_inputs(config.inputs, seed, indices, label=labels)
        self._device = device

    def generate(self, generator: nn.Module) -> pictures.Pixels:
        """Return the images of a generator in evaluation mode, uint8 `[N, H, W, C]`."""
        # Draws no random number: snapshots must not change the training.
        pixels = run_generator(generator, self._inputs, device=self._device, batch_size=_BATCH)
        images: pictures.Pixels = pixels.cpu().permute(0, 2, 3, 1).numpy()
        return images

    def grid(self, generator: nn.Module) -> bytes:
        return self.arrange(self.generate(generator))

    def arrange(self, images: pictures.Pixels) -> bytes:
        return pictures.encode(pictures.grid(images, nrow=self._nrow), "png")


def grid_layout(classes: int) -> tuple[Indices, Labels | None, int]:
    """Return the indices of samples, the labels (None if unconditional), and the images in a row of the grid."""
    if not classes:
        return np.arange(SIDE * SIDE), None, SIDE
    if classes <= _ROWS:
        labels, indices = np.divmod(np.arange(classes * SIDE), SIDE)
        return indices, labels, SIDE
    labels = np.arange(min(classes, _MOST))
    return np.zeros_like(labels), labels, math.isqrt(len(labels))


def real_grid(prepared: Prepared, classes: int) -> bytes:
    """Return real images as PNG, in the layout of a run's snapshots.

    Args:
        classes: number of classes of a conditional run, else 0.
    """
    _, _, nrow = grid_layout(classes)
    images = np.ascontiguousarray(prepared.images[choose_real(prepared, classes)].transpose(0, 2, 3, 1))
    return pictures.encode(pictures.grid(images, nrow=nrow), "png")


def choose_real(prepared: Prepared, classes: int) -> Indices:
    """Return the index of a real image for each place of the grid; they repeat where there are too few."""
    indices, labels, _ = grid_layout(classes)
    # Spread over the whole data set: neighbours in a file are often alike.
    return _of_each(prepared, labels) if labels is not None else _spread(np.arange(prepared.count), len(indices))


def _of_each(prepared: Prepared, wanted: Indices) -> Indices:
    assert prepared.labels is not None
    chosen = np.empty_like(wanted)
    for label in np.unique(wanted):
        places = np.flatnonzero(wanted == label)
        chosen[places] = _spread(np.flatnonzero(prepared.labels == label), len(places))
    return chosen


def _spread(candidates: Indices, count: int) -> Indices:
    chosen: Indices = candidates[np.linspace(0, len(candidates) - 1, count).round().astype(np.int64)]
    return chosen
