"""Whether mirroring does harm to the images of a set, decided by looking at them.

A linear classifier learns to tell images from their mirror images. Where it cannot on images that it has not seen, as
with most photographs, a mirrored image is as likely as the image. It can with digits and text.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.data.prepared import Prepared

_MOST: Final = 4_000  # images that are looked at
_LEAST: Final = 100
_SIDE: Final = 16
# Of the mean variance, added to the diagonal: there may be fewer images than values.
_RIDGE: Final = 0.1
HARMLESS: Final = 0.6


class Mirroring(NamedTuple):
    """The share of unseen images that were told from their mirror images, 0.5 by guessing; NaN for too few images."""

    accuracy: float

    @property
    def harmless(self) -> bool:
        """Whether mirrored images may be shown too."""
        return self.accuracy <= HARMLESS

    def __str__(self) -> str:
        if np.isnan(self.accuracy):
            return f"images are not mirrored: fewer than {_LEAST} cannot tell whether that would do harm"
        share = f"a linear classifier tells {self.accuracy:.0%} of unseen images from their mirror images"
        if self.harmless:
            return f"each image is shown mirrored too: {share}, near the 50% of guessing"
        return f"images are not mirrored: {share}, so that mirrored ones would be of another kind"


def judge(prepared: Prepared) -> Mirroring:
    """Judge up to 4,000 images, evenly spread; takes about a second."""
    count = min(_MOST, prepared.count)
    if count < _LEAST:
        return Mirroring(float("nan"))
    chosen = np.linspace(0, prepared.count - 1, count).round().astype(np.int64)
    # Every other one teaches: neighbours in a file are often of one class.
    differences = _differences(prepared.images[chosen])
    taught, unseen = differences[::2], differences[1::2]
    # Images are +1 and mirror images -1. Their differences have opposite signs, so the sums of squares are the same for
    # both, and there is no bias to learn.
    products = taught.T @ taught
    ridge = _RIDGE * np.trace(products) / len(products) + 1e-9
    weights = np.linalg.solve(products + ridge * np.eye(len(products)), taught.sum(0))
    answers = unseen @ weights
    return Mirroring(float((answers > 0).mean() + (answers == 0).mean() / 2))


# Half of each image minus its mirror image, at low resolution: float64 `[n, values]`.
def _differences(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    count, channels, height, width = images.shape
    # Squares of pixels that fill the images: 2 x 2 for 28 px, 4 x 4 for 64.
    square = -(-width // _SIDE)
    rows, columns = height // square, width // square
    cropped = images[:, :, : rows * square, : columns * square].astype(np.float64)
    coarse = cropped.reshape(count, channels, rows, square, columns, square).mean((3, 5)) / 255
    half: NDArray[np.float64] = (coarse - coarse[..., ::-1])[..., : columns // 2]
    return half.reshape(count, -1)
