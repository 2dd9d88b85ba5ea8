"""Draws batches of a prepared set: uint8 tensors from memory, or from the mapped file where it is too large.

Every epoch is a fresh permutation, drawn by itself from the seed and the epoch's number, so that the whole state of a
loader is one number: the images drawn so far.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from worker.data.prepared import Prepared

_IN_MEMORY: Final = 1 << 30  # bytes of pixels that are copied out of the page cache, which others may push out
_DEVICE_SHARE: Final = 0.25  # of a GPU's free memory, for pixels


class Sampler:
    """Shuffled epochs of `count` indices in batches: wraps from one epoch into the next and drops nothing.

    A permutation is the sorting order of Philox4x64-10 words under the key (seed, epoch): numpy guarantees the stream
    of a bit generator for all time, but not that of `permutation`.
    """

    def __init__(self, count: int, batch: int, seed: int, device: torch.device | str = "cpu") -> None:
        if count < 1 or batch < 1:
            raise ValueError(f"cannot draw batches of {batch} from {count} images")
        self.position = 0
        self._count = count
        self._batch = batch
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def next(self) -> Tensor:
        """Give the next batch of indices, int64 `[batch]` on the device, and move on by it."""
        parts: list[Tensor] = []
        missing = self._batch
        while missing:
            epoch, offset = divmod(self.position, self._count)
            part = self._permutation(epoch)[offset : offset + missing]
            parts.append(part)
            missing -= len(part)
            self.position += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            words = np.random.Philox(key=np.array([self._seed, epoch], np.uint64)).random_raw(self._count)
            self._order = torch.from_numpy(np.argsort(words, kind="stable")).to(self._device)
            self._epoch = epoch
        return self._order


class Batch(NamedTuple):
    """Some real images, uint8 `[N, C, H, W]`, and their labels, int64 `[N]`, or None for a set without."""

    images: Tensor
    labels: Tensor | None


class Loader:
    """Batches of a prepared set's images, on the device; the pixels themselves lie there too when they fit.

    `labels` are those of the whole set, int64 `[N]` on the device, or None.
    """

    def __init__(self, prepared: Prepared, batch_size: int, seed: int, device: torch.device | str) -> None:
        self.count = prepared.count
        self.labels = None if prepared.labels is None else torch.from_numpy(prepared.labels).to(device)
        self._device = torch.device(device)
        self._images = _place(prepared, self._device)
        self._shape = (batch_size, *self._images.shape[1:])
        self._rows = self._images.view(self.count, -1)
        self._sampler = Sampler(self.count, batch_size, seed, self._images.device)

    @property
    def position(self) -> int:
        """Images drawn so far; setting it continues exactly from there."""
        return self._sampler.position

    @position.setter
    def position(self, images: int) -> None:
        self._sampler.position = images

    def next(self) -> Batch:
        """Give the next batch, on the device."""
        indices = self._sampler.next()
        images = self._rows.index_select(0, indices).view(self._shape)
        if images.device != self._device:
            images = images.pin_memory().to(self._device, non_blocking=True)
        if self.labels is None:
            return Batch(images, None)
        return Batch(images, self.labels.index_select(0, indices.to(self._device)))


def _place(prepared: Prepared, device: torch.device) -> Tensor:
    """Put the pixels on the device, into memory, or leave them mapped, whichever they fit first."""
    mapped = torch.from_numpy(prepared.images)
    size = prepared.images.nbytes
    if device.type == "cuda" and size <= _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return mapped.to(device)
    return mapped.clone() if size <= _IN_MEMORY else mapped
