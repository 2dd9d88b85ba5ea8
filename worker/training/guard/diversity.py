"""Diversity of a run's snapshots relative to real images, which the guard watches for collapse."""

from __future__ import annotations

import numpy as np

from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.evaluation.diversity import pairwise_diversity
from worker.training.reporting.snapshots import choose_real, grid_layout

_MIN_REAL = 0.5  # of 255: below it all images of the data set are nearly the same, and ratios would be noise


class SnapshotDiversity:
    """Diversity of the images of a run's grid, relative to real images chosen in the same way.

    Args:
        classes: number of classes of a conditional run, else 0.
    """

    def __init__(self, prepared: Prepared, classes: int) -> None:
        _, labels, _ = grid_layout(classes)
        # A conditional generator that makes one image of each class has collapsed, however its classes differ: where
        # the grid has several images of a class, they are compared with each other only.
        self._labels = labels if labels is not None and len(np.unique(labels)) < len(labels) else None
        chosen, first = np.unique(choose_real(prepared, classes), return_index=True)
        real = np.ascontiguousarray(prepared.images[chosen].transpose(0, 2, 3, 1))
        self._real = pairwise_diversity(real, None if self._labels is None else self._labels[first])

    def relative(self, images: Pixels) -> float | None:
        """Return the pairwise diversity of images as a share of that of real ones; None where those are all alike.

        Args:
            images: uint8 `[N, H, W, C]`, those of the grid in its order.
        """
        return pairwise_diversity(images, self._labels) / self._real if self._real >= _MIN_REAL else None
