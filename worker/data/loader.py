"""Batches of a prepared set: uint8 tensors from memory, or from the mapped file of a large set."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.data.prepared import Prepared

_MAX_IN_MEMORY: Final = 1 << 30  # bytes of pixels that are copied into memory; the page cache may be evicted
_DEVICE_SHARE: Final = 0.25  # of a GPU's free memory, for pixels
_PREFETCH: Final = 2  # batches gathered beyond the one that is returned


class BatchSampler:
    """Shuffled epochs of `count` indices in batches; a batch may span two epochs, and no index is dropped."""

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
        """Return the next batch of indices, int64 `[batch]` on the device, and advance the position."""
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
        # The sorting order of Philox4x64-10 words under the key (seed, epoch): numpy guarantees the stream of a bit
        # generator for all versions, but not that of `permutation`. The order depends on nothing else, so that the
        # whole state of a loader is one number: the images drawn so far.
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
    """Batches of a prepared set's images, on the device; the pixels are stored there too if they fit.

    Where pixels are read from the mapped file, or from memory for a GPU, a thread prefetches the next batches. `labels`
    are those of the whole set, int64 `[N]` on the device, or None.

    Args:
        mirrored: whether each image also comes mirrored, as another image of the set.
        taught: indices of the images to return; None for all.
    """

    def __init__(
        self,
        prepared: Prepared,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        *,
        mirrored: bool = False,
        taught: NDArray[np.int64] | None = None,
    ) -> None:
        self.count = prepared.count if taught is None else len(taught)
        self.labels = None if prepared.labels is None else torch.from_numpy(prepared.labels).to(device)
        self._device = torch.device(device)
        self._batch = batch_size
        images, prefetches = _place(prepared, self._device)
        self._shape = (batch_size, *images.shape[1:])
        self._rows = images.view(prepared.count, -1)
        self._taught = None if taught is None else torch.from_numpy(taught).to(images.device)
        self._mirrored = mirrored
        # Mirrored images have the numbers after those of the others.
        self._sampler = BatchSampler(self.count * (2 if mirrored else 1), batch_size, seed, images.device)
        self._position = 0
        self._prefetched: deque[Future[tuple[Tensor, Tensor]]] = deque()
        self._prefetcher = ThreadPoolExecutor(1, thread_name_prefix="batches") if prefetches else None

    @property
    def position(self) -> int:
        """Images returned so far, without prefetched ones; settable."""
        return self._position

    @position.setter
    def position(self, images: int) -> None:
        while self._prefetched:  # the thread may be drawing indices
            self._prefetched.pop().result()
        self._position = self._sampler.position = images

    def next(self) -> Batch:
        """Return the next batch, on the device."""
        self._position += self._batch
        if self._prefetcher is None:
            indices = self._sampler.next()
            images = self._rows.index_select(0, self._of_images(indices)).view(self._shape)
        else:
            while len(self._prefetched) <= _PREFETCH:
                self._prefetched.append(self._prefetcher.submit(self._gather))
            images, indices = self._prefetched.popleft().result()
            images = images.to(self._device, non_blocking=True)
        indices = indices.to(self._device, non_blocking=True)
        if self._mirrored:
            images = torch.where((indices >= self.count)[:, None, None, None], images.flip(3), images)
        return Batch(images, None if self.labels is None else self.labels.index_select(0, self._of_images(indices)))

    # Rows of the prepared set, of numbers that the sampler draws.
    def _of_images(self, indices: Tensor) -> Tensor:
        numbers = indices % self.count if self._mirrored else indices
        return numbers if self._taught is None else self._taught.to(numbers.device).index_select(0, numbers)

    def _gather(self) -> tuple[Tensor, Tensor]:
        """Draw a batch on the prefetching thread: images uint8 `[N, C, H, W]`, pinned for a GPU, and their indices."""
        indices = self._sampler.next()
        images = torch.empty(self._shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        # numpy does not compete for the threads of the training step; mode="clip" skips the check of the indices.
        rows = self._of_images(indices).numpy()
        np.take(self._rows.numpy(), rows, axis=0, out=images.view(self._batch, -1).numpy(), mode="clip")
        return images, indices


def _place(prepared: Prepared, device: torch.device) -> tuple[Tensor, bool]:
    """Place the pixels on the device or in memory if they fit, else leave them mapped.

    Returns:
        uint8 `[N, C, H, W]`, and whether to prefetch batches.
    """
    mapped = torch.from_numpy(prepared.images)
    size = prepared.images.nbytes
    # Gathering on the device itself takes no time worth prefetching.
    if device.type == "cuda" and size <= _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return mapped.to(device), False
    if size <= _MAX_IN_MEMORY:
        return mapped.clone(), device.type == "cuda"
    return mapped, True
