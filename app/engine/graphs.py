"""CUDA graphs: a pass on a GPU launched whole, with inputs and images copied through pinned memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.engine.queue import Images
from models.inference import to_uint8
from models.inputs import Inputs

# Before the capture; libraries choose kernels and allocate their workspaces in them.
WARM_UP_PASSES = 3

Forward = Callable[[Sequence[Tensor]], Tensor]


class Graph:
    """One captured pass of a fixed size; for one thread at a time.

    Args:
        forward: inputs on the device to float32 `[B, C, H, W]`.
        arguments: inputs on the host, of the pass's shape.
        tf32: let float32 products round their operands to TF32.
    """

    def __init__(self, forward: Forward, arguments: Sequence[Tensor], device: torch.device, *, tf32: bool) -> None:
        self._pinned = [argument.pin_memory() for argument in arguments]
        self._arguments = [argument.to(device) for argument in arguments]
        self._stream = _stream(device)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), _tf32(tf32), torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_PASSES):
                to_uint8(forward(self._arguments))
            # Other threads may allocate and free memory meanwhile: only this one's calls are restricted.
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._floats = forward(self._arguments).contiguous()
                self._pixels = to_uint8(self._floats).permute(0, 2, 3, 1).contiguous()
        self._pinned_pixels = torch.empty(self._pixels.shape, dtype=torch.uint8, pin_memory=True)

    def generate(self, inputs: Inputs) -> Images:
        """Run the pass over the inputs, padded with zeros, and return uint8 `[len(inputs), H, W, C]`."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._replay(inputs)
            self._pinned_pixels.copy_(self._pixels, non_blocking=True)
        self._stream.synchronize()
        # A copy: the next pass overwrites the pinned memory.
        images: Images = self._pinned_pixels[: len(inputs)].numpy().copy()
        return images

    def floats(self, inputs: Inputs) -> NDArray[np.float32]:
        """Run the pass and return the generator's outputs, float32 `[len(inputs), C, H, W]`."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._replay(inputs)
            outputs = self._floats[: len(inputs)].cpu()
        floats: NDArray[np.float32] = outputs.numpy()
        return floats

    def _replay(self, inputs: Inputs) -> None:
        for pinned, argument, array in zip(self._pinned, self._arguments, inputs.arrays.values(), strict=True):
            pinned[: len(array)] = torch.from_numpy(array)
            # Zeros, so that no values of an earlier pass are generated again.
            pinned[len(array) :] = 0
            argument.copy_(pinned, non_blocking=True)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    # One for all passes of a device: cuBLAS keeps a workspace for every stream that it was ever used on.
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    # The switches are the process's; a graph keeps their values at its capture.
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
