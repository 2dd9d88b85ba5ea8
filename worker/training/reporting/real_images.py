"""A picture of real images beside a run's snapshots, laid out as they are: what the generated ones should come to."""

from __future__ import annotations

import numpy as np

from models import pictures
from models.inputs import Indices
from worker.data.prepared import Prepared
from worker.training.reporting.snapshots import grid_layout


def real_grid(prepared: Prepared, classes: int) -> bytes:
    """Give images from all over a data set as PNG, in as many rows and columns as a run's snapshots have.

    Args:
        prepared: the images that the run trains on.
        classes: of a conditional run, whose grid has rows of classes, or else 0.
    """
    _, _, nrow = grid_layout(classes)
    images = np.ascontiguousarray(prepared.images[choose(prepared, classes)].transpose(0, 2, 3, 1))
    return pictures.encode(pictures.grid(images, nrow=nrow), "png")


def choose(prepared: Prepared, classes: int) -> Indices:
    """Choose a real image for each place of the grid; where there are too few, some are chosen twice."""
    indices, labels, _ = grid_layout(classes)
    return _of_each(prepared, labels) if labels is not None else _spread(np.arange(prepared.count), len(indices))


def _of_each(prepared: Prepared, wanted: Indices) -> Indices:
    """Choose an image for each wanted label."""
    assert prepared.labels is not None
    chosen = np.empty_like(wanted)
    for label in np.unique(wanted):
        places = np.flatnonzero(wanted == label)
        chosen[places] = _spread(np.flatnonzero(prepared.labels == label), len(places))
    return chosen


def _spread(candidates: Indices, count: int) -> Indices:
    chosen: Indices = candidates[np.linspace(0, len(candidates) - 1, count).round().astype(np.int64)]
    return chosen
