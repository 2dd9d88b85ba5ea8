"""The images of a set that are kept from the training, so that scores compare with images that taught nothing."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.data.prepared import Prepared

SHARE: Final = 0.1
_LEAST: Final = 50
_MOST: Final = 10_000
# Smaller sets need every image for the training.
SMALLEST_SET: Final = 500

Indices = NDArray[np.int64]


class Sides(NamedTuple):
    """Indices of the images that are trained on, rising, and of those that are not, in the order of their digests."""

    taught: Indices
    held_out: Indices


def count_held_out(prepared: Prepared) -> int:
    """Return how many images to keep from the training of a new run: 0 where there are too few to spare any."""
    if prepared.count < SMALLEST_SET:
        return 0
    digests = _digests(prepared)
    wanted = sorted(digests)[min(_MOST, max(_LEAST, round(SHARE * prepared.count))) - 1]
    # Copies of an image have its digest, and are on its side.
    return sum(digest <= wanted for digest in digests)


def split(prepared: Prepared, count: int) -> Sides:
    """Keep `count` images from the training: those with the smallest digests, whatever their order in the set."""
    if not count:
        return Sides(np.arange(prepared.count), np.arange(0))
    digests = _digests(prepared)
    order = np.array(sorted(range(prepared.count), key=lambda index: (digests[index], index)), np.int64)
    return Sides(np.sort(order[count:]), order[:count])


def _digests(prepared: Prepared) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in prepared.images]
