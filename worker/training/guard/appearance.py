"""Appearance of a run's snapshots beside that of real images: variety, colour, noise and regular patterns, from pixels.

All are means over a few dozen images, cheap enough for every snapshot; they need no network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.evaluation.diversity import coarse, nearest_difference, pairwise_diversity
from worker.training.reporting.snapshots import choose_real, grid_layout

_MIN_REAL: Final = 0.5  # of 255: below it all images of the data set are nearly the same, and ratios would be noise
_MIN_CHROMA: Final = 4.0  # of 255: below it real images have hardly any colour
_MOST, _FEWEST = 64, 16  # images whose pixels are looked at: fewer of large ones,
_MOST_PIXELS: Final = 1 << 20  # so that they are about a million pixels
_FEW: Final = 10_000  # images of a data set of which copies are looked for
_CHUNK: Final = 1000
_DARK, _BRIGHT = 4, 251
_PERIODS: Final = (2, 4)  # pixels: what an upsampling by 2 or 4 leaves


@dataclass(frozen=True)
class Appearance:
    """What images look like; None where real images leave nothing to compare with.

    Attributes:
        diversity: mean difference between images (of one class, if the grid has several), as a share of real ones'.
        variety: the same, from each image to the one most like it.
        chroma: mean distance of the colours from grey, as a share of real ones'.
        glaring: share of the pixels with both a full and an empty channel, less that of real images.
        roughness: 0 where neighbouring pixels are as alike as in real images, 1 where they are unrelated, as in noise.
        pattern: share of a channel's contrast that has a period of 2 or 4 pixels, less that of real images.
        novelty: distance to the nearest training image, of that between training images; 0 for copies of them.
    """

    diversity: float | None
    variety: float | None = None
    chroma: float | None = None
    glaring: float | None = None
    roughness: float | None = None
    pattern: float | None = None
    novelty: float | None = None

    def values(self) -> dict[str, float | None]:
        """Return all by name, for plots and calibration."""
        return asdict(self)


class SnapshotAppearance:
    """Measures the images of a run's grid, relative to real images chosen in the same way.

    Args:
        classes: number of classes of a conditional run, else 0.
    """

    def __init__(self, prepared: Prepared, classes: int) -> None:
        _, labels, _ = grid_layout(classes)
        # A conditional generator that makes one image of each class has collapsed, however its classes differ: where
        # the grid has several images of a class, they are compared with each other only.
        self._labels = labels if labels is not None and len(np.unique(labels)) < len(labels) else None
        chosen, first = np.unique(choose_real(prepared, classes), return_index=True)
        # Only small data sets are learned by heart, and only those are compared as a whole at every snapshot.
        self._training = _TrainingImages(prepared) if 1 < prepared.count <= _FEW else None
        real = _last(prepared.images[chosen])
        self._real = Measures.of(real, None if self._labels is None else self._labels[first])

    def measure(self, images: Pixels) -> Appearance:
        """Measure images.

        Args:
            images: uint8 `[N, H, W, C]`, those of the grid in its order.
        """
        seen = Measures.of(images, self._labels).beside(self._real)
        return seen if self._training is None else replace(seen, novelty=self._training.novelty(images))


class _TrainingImages:
    """All images of a small data set, coarse, to find copies of them; mirrored ones are copies too."""

    def __init__(self, prepared: Prepared) -> None:
        chunks = (prepared.images[start : start + _CHUNK] for start in range(0, prepared.count, _CHUNK))
        self._rows = np.concatenate([coarse(_last(chunk)).astype(np.float32) for chunk in chunks])
        chosen = np.unique(np.linspace(0, prepared.count - 1, _MOST).astype(np.int64))
        # The nearest image to a training image is itself.
        self._apart = self._distance(_last(prepared.images[chosen]), nearest=1)

    def novelty(self, images: Pixels) -> float | None:
        chosen = np.linspace(0, len(images) - 1, min(len(images), _MOST)).astype(np.int64)
        return _ratio(self._distance(images[chosen], nearest=0), self._apart, _MIN_REAL)

    # The median distance to the nearest training image, or to the one after it.
    def _distance(self, images: Pixels, nearest: int) -> float:
        both = [self._sorted(each)[:, nearest] for each in (images, np.ascontiguousarray(images[:, :, ::-1]))]
        return float(np.median(np.minimum(*both) if nearest == 0 else both[0]))

    def _sorted(self, images: Pixels) -> NDArray[np.float32]:
        rows = coarse(images).astype(np.float32)
        squares = (rows**2).sum(1)[:, None] + (self._rows**2).sum(1) - 2 * rows @ self._rows.T
        distances: NDArray[np.float32] = np.sqrt(np.maximum(np.partition(squares, 1)[:, :2], 0) / rows.shape[1])
        return distances


def _last(images: Pixels) -> Pixels:
    """Return images `[N, C, H, W]` as `[N, H, W, C]`."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


@dataclass(frozen=True)
class Measures:
    """Measures of a set of images by themselves, from which their appearance beside another set follows."""

    diversity: float
    nearest: float
    chroma: float | None
    glaring: float | None
    contrast: float
    roughness: float
    pattern: float

    @classmethod
    def of(cls, images: Pixels, labels: NDArray[np.int64] | None) -> Self:
        count = min(len(images), _MOST, max(_FEWEST, _MOST_PIXELS // (images.shape[1] * images.shape[2])))
        few = images[np.linspace(0, len(images) - 1, count).astype(np.int64)]
        coloured = few.shape[-1] > 1
        lowest, highest = few.min(-1), few.max(-1)
        # float64: sums over pixels and their differences nearly cancel for images without contrast.
        channels = few.astype(np.float64).transpose(3, 0, 1, 2)
        grey = channels.mean(0)
        return cls(
            diversity=pairwise_diversity(images, labels),
            nearest=nearest_difference(images, labels),
            chroma=float((highest - lowest).mean()) if coloured else None,
            glaring=float(((highest >= _BRIGHT) & (lowest <= _DARK)).mean()) if coloured else None,
            contrast=float(grey.std()),
            roughness=_roughness(grey),
            # By channel: patterns of colours can cancel in grey.
            pattern=max(_pattern(channel) for channel in channels),
        )

    def beside(self, real: Measures) -> Appearance:
        """Return what the images look like beside real ones."""
        # Images without contrast have no texture to judge.
        textured = self.contrast >= 1 and real.contrast >= 1
        return Appearance(
            diversity=_ratio(self.diversity, real.diversity, _MIN_REAL),
            variety=_ratio(self.nearest, real.nearest, _MIN_REAL),
            chroma=_ratio(self.chroma, real.chroma, _MIN_CHROMA),
            glaring=None if self.glaring is None or real.glaring is None else self.glaring - real.glaring,
            roughness=(self.roughness - real.roughness) / max(1 - real.roughness, 0.1) if textured else None,
            pattern=self.pattern - real.pattern if textured else None,
        )


# A value as a share of that of real images, unless that is too small.
def _ratio(seen: float | None, real: float | None, least: float) -> float | None:
    return None if seen is None or real is None or real < least else seen / real


def _roughness(images: NDArray[np.float64]) -> float:
    """Compute the mean squared difference of neighbouring pixels, relative to that of unrelated ones.

    Args:
        images: `[N, H, W]`.
    """
    steps = [np.square(np.diff(images, axis=axis)).mean() for axis in (1, 2)]
    # Unrelated values of equal variance differ by twice that variance, squared.
    unrelated = 2 * images.var((1, 2)).mean()
    return float(np.mean(steps) / unrelated) if unrelated > 0 else 0.0


def _pattern(images: NDArray[np.float64]) -> float:
    """Compute the share of the contrast in peaks of the spectrum, at periods of 2 or 4 pixels.

    A pattern that is fixed to the pixels but differs in strength from place to place stands in the spectrum as a peak
    at its frequencies, a few bins wide; textures spread, and count for as much as beside the peak.

    Args:
        images: `[N, H, W]`.
    """
    height, width = images.shape[1:]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    centred = (images - images.mean((1, 2), keepdims=True)) * window
    total = np.square(centred).sum((1, 2)).mean()
    if total <= 0:
        return 0.0
    power = np.square(np.abs(np.fft.fft2(centred))).mean(0) / (height * width)
    return float(np.sqrt(max(_peaks(power, period) for period in _PERIODS) / total))


# The power in peaks at multiples of 1 / period, beyond that beside them.
def _peaks(power: NDArray[np.float64], period: int) -> float:
    height, width = power.shape
    near, beside = np.arange(-3, 4), np.ones((7, 7), np.bool_)
    beside[1:6, 1:6] = False
    peaks = 0.0
    for down, right in list(product(range(period), repeat=2))[1:]:
        rows, columns = (height * down // period + near) % height, (width * right // period + near) % width
        part = power[np.ix_(rows, columns)]
        peak = part[2:5, 2:5]
        peaks += max(0.0, float(peak.sum() - peak.size * np.median(part[beside])))
    return peaks
