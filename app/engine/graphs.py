"""A pass on a GPU as a CUDA graph: launched whole, with inputs and pictures copied through pinned memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.engine.inputs import Inputs

WARM_UP = 3
"""Passes before the capture, in which libraries choose kernels and allocate their workspaces."""

Forward = Callable[[Tensor, Tensor | None], Tensor]


class Graph:
    """One captured pass of a fixed size; for one thread at a time.

    Args:
        forward: float32 latents `[B, dim]` and labels `[B]` or None, on the device, to float32 `[B, C, H, W]`.
        to_pixels: those to uint8 on the device; may overwrite them.
        z: latents on the host, of the pass's shape.
        labels: labels on the host, None for a network that has no classes.
        tf32: let float32 products round their operands to TF32.
    """

    def __init__(
        self,
        forward: Forward,
        to_pixels: Callable[[Tensor], Tensor],
        z: Tensor,
        labels: Tensor | None,
        device: torch.device,
        *,
        tf32: bool,
    ) -> None:
        self._host_z, self._z = _pair(z, device)
        self._host_labels: Tensor | None = None
        self._labels: Tensor | None = None
        if labels is not None:
            self._host_labels, self._labels = _pair(labels, device)
        self._stream = _stream(device)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), _tf32(tf32), torch.cuda.stream(self._stream):
            for _ in range(WARM_UP):
                to_pixels(forward(self._z, self._labels))
            # Other threads may allocate and free meanwhile: only this one's calls are restricted.
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._floats = forward(self._z, self._labels).contiguous()
                self._pixels = to_pixels(self._floats.clone()).permute(0, 2, 3, 1).contiguous()
        self._host_pixels = torch.empty(self._pixels.shape, dtype=torch.uint8, pin_memory=True)

    def pictures(self, inputs: Inputs) -> NDArray[np.uint8]:
        """Run the pass over the inputs and zeros behind them: uint8 `[len(inputs), H, W, C]`."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._replay(inputs)
            self._host_pixels.copy_(self._pixels, non_blocking=True)
        self._stream.synchronize()
        # A copy: the next pass overwrites the pinned memory.
        pictures: NDArray[np.uint8] = self._host_pixels[: len(inputs)].numpy().copy()
        return pictures

    def floats(self, inputs: Inputs) -> NDArray[np.float32]:
        """Run the pass and give what the pixels are made from: float32 `[len(inputs), C, H, W]`."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._replay(inputs)
            outputs = self._floats[: len(inputs)].cpu()
        floats: NDArray[np.float32] = outputs.numpy()
        return floats

    def _replay(self, inputs: Inputs) -> None:
        _fill(self._host_z, inputs.z, self._z)
        if self._host_labels is not None and self._labels is not None and inputs.labels is not None:
            _fill(self._host_labels, inputs.labels, self._labels)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Give the one stream that a device's passes run on: cuBLAS keeps a workspace for each that it ever saw."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _pair(values: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give a pinned copy and one on the device."""
    return values.pin_memory(), values.to(device)


def _fill(host: Tensor, values: NDArray[np.float32] | NDArray[np.int64], device: Tensor) -> None:
    host[: len(values)] = torch.from_numpy(values)
    host[len(values) :] = 0
    device.copy_(host, non_blocking=True)


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 for what is captured inside; the choice is the graph's for ever, the switches are the process's."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
