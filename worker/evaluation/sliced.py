"""Sliced Wasserstein distance of image patches (Karras et al. 2018, arXiv 1710.10196, section 5): needs no weights.

Patches of 7 x 7 px are cut out of every level of a Laplacian pyramid; a level's distance is the mean Wasserstein-1
distance of the patches' projections on random directions. Here both sides are normalised by the real patches' mean and
deviation, so that a wrong contrast or colour counts too; directions and places are fixed.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from models.config.inputs import Latent
from models.latents import latents

PATCH: Final = 7
PATCHES: Final = 1 << 14
"""Of each level, from all images together."""
DIRECTIONS: Final = 128
_SMALLEST: Final = 14  # pixels on each side of the last level
_KEY: Final = 0x51DE
_SCALE: Final = 1000.0


def sizes(size: int) -> list[int]:
    """Give the sides of a pyramid's levels, in pixels, from the full size on."""
    found = [size]
    while found[-1] // 2 >= _SMALLEST:
        found.append(found[-1] // 2)
    return found


def pyramid(images: Tensor) -> list[Tensor]:
    """Split images into bands of detail, finest first; the last level is what is left (Burt and Adelson 1983).

    Args:
        images: float32 `[B, C, H, H]`.
    """
    levels = []
    for side in sizes(images.shape[-1])[1:]:
        reduce, expand = (matrix.to(images) for matrix in _resampling(side))
        coarse = reduce @ images @ reduce.T
        levels.append(images - expand @ coarse @ expand.T)
        images = coarse
    return [*levels, images]


@cache
def _resampling(side: int) -> tuple[Tensor, Tensor]:
    """Give what halves 2 `side` pixels and what doubles them again, along one axis, as matrices.

    Both blur by [1, 4, 6, 4, 1] / 16 and mirror at the edge. As products they cost a tenth of convolutions of so few
    channels.
    """
    blur = torch.zeros(2 * side, 2 * side)
    for row in range(2 * side):
        for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            mirrored = abs(row + offset)
            blur[row, min(mirrored, 2 * (2 * side - 1) - mirrored)] += weight / 16
    return blur[::2], 2 * blur[:, ::2]


class Patches:
    """Collects the patches of `count` images of `channels` x `size` x `size`, batch by batch; memory is bounded."""

    def __init__(self, count: int, size: int, channels: int, device: torch.device) -> None:
        self._each = -(-PATCHES // count)
        self._count = count
        self._done = 0
        shape = (self._each, count, channels * PATCH * PATCH)
        self._levels = [torch.empty(shape, device=device) for _ in sizes(size)]
        self._corners = [_corners(level, side, self._each * count) for level, side in enumerate(sizes(size))]

    def add(self, images: Tensor) -> None:
        """Take the next images, float32 `[B, C, H, W]`."""
        part = slice(self._done, self._done + len(images))
        for found, level, corners in zip(self._levels, pyramid(images), self._corners, strict=True):
            here = corners.view(self._each, self._count, 2)[:, part].to(images.device)
            found[:, part] = _cut(level, here).flatten(2)
        self._done = part.stop

    def levels(self) -> list[Tensor]:
        """Give the patches of each level, float32 `[16384, C * 49]`."""
        assert self._done == self._count, f"{self._done} of {self._count} images have come"
        return [level.flatten(0, 1)[:PATCHES] for level in self._levels]


def _corners(level: int, side: int, count: int) -> Tensor:
    """Choose the upper left corners of patches, int64 `[count, 2]`; the same ones for each set of so many images."""
    words = np.random.Philox(key=np.array([_KEY, level], np.uint64)).random_raw(2 * count)
    return torch.from_numpy((words % (side - PATCH + 1)).astype(np.int64)).view(count, 2)


def _cut(images: Tensor, corners: Tensor) -> Tensor:
    """Cut patches out of images `[B, C, H, W]` at corners `[P, B, 2]`: `[P, B, 49, C]`."""
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
        """Give the mean over the levels, in thousandths of a standard deviation; real images do not score 0 either."""
        pairs = zip(self._levels, patches.levels(), strict=True)
        return _SCALE * float(np.mean([level.distance(found) for level, found in pairs]))


class _Level:
    """The reference's projections at one level, sorted, and what they were normalised by."""

    def __init__(self, mean: Tensor, deviation: Tensor, directions: Tensor) -> None:
        self._mean = mean
        self._deviation = deviation
        self._directions = directions
        self._sorted = torch.empty(0)

    @classmethod
    def fit(cls, level: int, patches: Tensor) -> Self:
        channels = patches.shape[1] // PATCH**2
        values = patches.view(-1, channels)
        # Real detail may be nothing at all, in a set of flat images: then it is not enlarged.
        deviation = values.std(0).clamp_min(1e-3)
        found = cls(
            values.mean(0).repeat(PATCH**2),
            deviation.repeat(PATCH**2),
            _directions(level, patches.shape[1]).to(patches.device),
        )
        found._sorted = found._projected(patches)
        return found

    def distance(self, patches: Tensor) -> float:
        return float((self._projected(patches) - self._sorted).abs().mean())

    def _projected(self, patches: Tensor) -> Tensor:
        return _ascending(self._directions @ ((patches - self._mean) / self._deviation).T)


def _directions(level: int, values: int) -> Tensor:
    """Draw unit vectors, float32 `[128, values]`."""
    drawn = latents(Latent(dim=values), _KEY + level, np.arange(DIRECTIONS))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _ascending(rows: Tensor) -> Tensor:
    """Sort each row; on the CPU by numpy, which is several times as fast there."""
    if rows.device.type == "cpu":
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(1).values
