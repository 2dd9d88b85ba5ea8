"""Sliced Wasserstein distance of image patches (Karras et al. 2018, arXiv 1710.10196, section 5).

Patches of 7 x 7 px are taken from every level of a Laplacian pyramid; the distance at a level is the mean Wasserstein-1
distance of the patches' projections on random directions. Directions and positions are fixed.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from models.config.inputs import Latent
from models.latents import draw_latents

PATCH: Final = 7
# At each level, from all images together.
PATCHES: Final = 1 << 14
DIRECTIONS: Final = 128
_MIN_SIDE: Final = 14  # pixels on each side of the last level
_KEY: Final = 0x51DE
_SCALE: Final = 1000.0


def level_sizes(size: int) -> list[int]:
    """Return the sides of the levels of a pyramid in pixels, largest first."""
    found = [size]
    while found[-1] // 2 >= _MIN_SIDE:
        found.append(found[-1] // 2)
    return found


def pyramid(images: Tensor) -> list[Tensor]:
    """Split images into the levels of a Laplacian pyramid, finest first (Burt and Adelson 1983).

    Args:
        images: float32 `[B, C, H, H]`.
    """
    levels = []
    for side in level_sizes(images.shape[-1])[1:]:
        reduce, expand = (matrix.to(images) for matrix in _resampling(side))
        coarse = reduce @ images @ reduce.T
        levels.append(images - expand @ coarse @ expand.T)
        images = coarse
    return [*levels, images]


# Two matrices along one axis: one halves 2 `side` pixels, one doubles them again. Both blur by [1, 4, 6, 4, 1] / 16 and
# mirror at the edge.
@cache
def _resampling(side: int) -> tuple[Tensor, Tensor]:
    # As matrix products they cost a tenth of convolutions of so few channels.
    blur = torch.zeros(2 * side, 2 * side)
    for row in range(2 * side):
        for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            mirrored = abs(row + offset)  # at the upper or left edge; the other edge follows
            blur[row, min(mirrored, 2 * (2 * side - 1) - mirrored)] += weight / 16
    # Doubling inserts zeros between the pixels, so that half of the kernel's weight is lost. The factor 2 restores it.
    return blur[::2], 2 * blur[:, ::2]


class Patches:
    """The patches of `count` images of `channels` x `size` x `size`, added batch by batch."""

    def __init__(self, count: int, size: int, channels: int, device: torch.device) -> None:
        # Equally many patches of every image, rounded up; `levels` cuts off the excess.
        self._each = -(-PATCHES // count)
        self._count = count
        self._done = 0
        shape = (self._each, count, channels * PATCH * PATCH)
        self._levels = [torch.empty(shape, device=device) for _ in level_sizes(size)]
        self._corners = [_corners(level, side, self._each * count) for level, side in enumerate(level_sizes(size))]

    def add(self, images: Tensor) -> None:
        """Add the patches of the next images, float32 `[B, C, H, W]`."""
        part = slice(self._done, self._done + len(images))
        for found, level, corners in zip(self._levels, pyramid(images), self._corners, strict=True):
            here = corners.view(self._each, self._count, 2)[:, part].to(images.device)
            found[:, part] = _gather(level, here).flatten(2)
        self._done = part.stop

    def levels(self) -> list[Tensor]:
        """Return the patches of each level, float32 `[16384, C * 49]`."""
        assert self._done == self._count, f"{self._done} of {self._count} images were added"
        return [level.flatten(0, 1)[:PATCHES] for level in self._levels]


# Upper left corners of patches, int64 `[count, 2]`: the same for every set of equally many images.
def _corners(level: int, side: int, count: int) -> Tensor:
    # Philox and not torch's generator: the same positions in every release of torch, and no state of the training.
    words = np.random.Philox(key=np.array([_KEY, level], np.uint64)).random_raw(2 * count)
    return torch.from_numpy((words % (side - PATCH + 1)).astype(np.int64)).view(count, 2)


# Patches of images `[B, C, H, W]` at corners `[P, B, 2]`, as `[P, B, 49, C]`.
def _gather(images: Tensor, corners: Tensor) -> Tensor:
    # Index arrays broadcast to [P, B, 7, 7]; channels last, so that the gathered values are contiguous pixels.
    offsets = torch.arange(PATCH, device=images.device)
    rows = (corners[..., 0, None] + offsets)[..., :, None]
    columns = (corners[..., 1, None] + offsets)[..., None, :]
    batch = torch.arange(len(images), device=images.device)[None, :, None, None]
    return images.permute(0, 2, 3, 1)[batch, rows, columns].flatten(2, 3)


class SlicedWasserstein:
    """Distances to one set of real images."""

    def __init__(self, reference: Patches) -> None:
        self._levels = [_Level.fit(level, patches) for level, patches in enumerate(reference.levels())]

    def distance(self, patches: Patches) -> float:
        """Return the mean over the levels, in thousandths of a standard deviation."""
        pairs = zip(self._levels, patches.levels(), strict=True)
        return _SCALE * float(np.mean([level.distance(found) for level, found in pairs]))


# The sorted projections of the reference at one level, with its mean and deviation.
class _Level:
    def __init__(self, mean: Tensor, deviation: Tensor, directions: Tensor) -> None:
        self._mean = mean
        self._deviation = deviation
        self._directions = directions
        self._sorted = torch.empty(0)

    @classmethod
    def fit(cls, level: int, patches: Tensor) -> Self:
        channels = patches.shape[1] // PATCH**2
        values = patches.view(-1, channels)
        # Unlike in the paper, both sides are normalised by the real patches, so that a wrong contrast or colour counts.
        # The bound keeps the noise of flat images from being amplified.
        deviation = values.std(0).clamp_min(1e-3)
        found = cls(
            values.mean(0).repeat(PATCH**2),
            deviation.repeat(PATCH**2),
            _directions(level, patches.shape[1]).to(patches.device),
        )
        found._sorted = found._project(patches)
        return found

    def distance(self, patches: Tensor) -> float:
        # In one dimension the Wasserstein-1 distance of equally many points is the mean difference in sorted order.
        return float((self._project(patches) - self._sorted).abs().mean())

    def _project(self, patches: Tensor) -> Tensor:
        return _sort_rows(self._directions @ ((patches - self._mean) / self._deviation).T)


# Random unit vectors, float32 `[128, values]`.
def _directions(level: int, values: int) -> Tensor:
    drawn = draw_latents(Latent(dim=values), _KEY + level, np.arange(DIRECTIONS))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _sort_rows(rows: Tensor) -> Tensor:
    # numpy sorts several times as fast as torch on the CPU.
    if rows.device.type == "cpu":
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(1).values
