"""Perceptual hashes: difference hashes of 64 bits, and near duplicates by their Hamming distance."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Bits in which two hashes of near duplicates may differ.
MAX_DISTANCE: Final = 3

_SIDE: Final = 8
_MIN_CONTRAST: Final = 4.0  # standard deviation in grey levels; the hash of a flatter image is noise
_BANDS: Final = MAX_DISTANCE + 1


def difference_hash(pixels: NDArray[np.uint8]) -> int | None:
    """Hash an image, uint8 `[C, H, W]`: one bit for each of 8 x 8 fields that is darker than its right neighbour.

    Source: N. Krawetz, "Kind of Like That", hackerfactor.com, 2013.

    Returns:
        64 bits, robust to encoding, enlargement and small changes of colour; None for an image of one colour.
    """
    image = Image.fromarray(pixels[0]) if len(pixels) == 1 else Image.fromarray(pixels.transpose(1, 2, 0)).convert("L")
    fields = np.asarray(image.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX), np.int16)
    if fields.std() < _MIN_CONTRAST:
        return None
    return int.from_bytes(np.packbits(fields[:, 1:] > fields[:, :-1]).tobytes(), "big")


def first_near_duplicates(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Find for each hash the first one that lies within `MAX_DISTANCE` bits of it, itself included.

    Args:
        hashes: `[n]`.

    Returns:
        int64 `[n]`, indices; the index of itself for an image that resembles no earlier one.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    earliest = first.astype(np.int64)
    # Two hashes that differ in at most three bits agree in one of four bands of 16 bits: only these are compared.
    width = 64 // _BANDS
    for band in range(_BANDS):
        values = (distinct >> np.uint64(band * width)) & np.uint64((1 << width) - 1)
        order = np.argsort(values, kind="stable")
        edges = np.flatnonzero(np.diff(values[order])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                _compare(distinct[bucket], bucket, first, earliest)
    return earliest[inverse]


def _compare(
    hashes: NDArray[np.uint64], bucket: NDArray[np.int64], first: NDArray[np.int64], earliest: NDArray[np.int64]
) -> None:
    places = first[bucket]
    for index, value in zip(bucket, hashes, strict=True):
        near = np.bitwise_count(hashes ^ value) <= MAX_DISTANCE
        earliest[index] = min(earliest[index], places[near].min())
