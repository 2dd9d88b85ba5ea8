"""A generator on one device in given numerics: named inputs in, images out, in one pass of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.engine.folding import fold, fuse, has_onednn
from app.engine.graphs import Graph
from app.engine.queue import Images
from models.config.values import Frozen
from models.inference import forward, to_uint8
from models.inputs import Inputs

Bits = NDArray[np.int32]
InferencePrecision = Literal["fp32", "tf32", "bf16", "fp16"]

DTYPES: dict[InferencePrecision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Numerics(Frozen):
    """All that decides how a network rounds, beside the batch size."""

    precision: InferencePrecision = "fp32"
    channels_last: bool = False
    fused: bool = False

    @property
    def bytes(self) -> int:
        return DTYPES[self.precision].itemsize


PLAIN = Numerics()


def candidates(generator: nn.Module, device: torch.device) -> list[Numerics]:
    """Return the numerics that may be worth trying for a network on a device; `PLAIN` is always the first."""
    # Convolutions in reduced precision want channels last everywhere; without any there is nothing to lay out.
    layout = any(parameter.ndim == 4 for parameter in generator.parameters())
    precisions: tuple[InferencePrecision, ...] = ("fp32",)
    if device.type == "cuda":
        precisions = ("fp32", "tf32", "fp16", "bf16")
    elif has_onednn() and _has_bf16():
        precisions = ("fp32", "bf16")
    tried = [
        Numerics(precision=precision, channels_last=layout, fused=fused)
        for precision in precisions
        for fused in ([False, True] if device.type == "cpu" and has_onednn() else [False])
    ]
    return list(dict.fromkeys([PLAIN, *tried]))


def _has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Network:
    """A generator on its device.

    Args:
        generator: takes its inputs in order and returns `[B, C, H, W]` in [-1, 1]; in evaluation mode, float32. It is
            modified and must not be used afterwards.
        numerics: one of `candidates`.
        batch: the batch size that the weights are laid out for.
    """

    def __init__(self, generator: nn.Module, device: torch.device, numerics: Numerics, batch: int) -> None:
        before = _allocated(device)
        self.device = device
        self.numerics = numerics
        self._dtype = DTYPES[numerics.precision]
        self._graphs: dict[int, Graph] = {}
        with torch.no_grad():
            module = generator.eval().requires_grad_(False)
            if numerics != PLAIN:
                module = fold(module)
            module = module.to(device=device, dtype=self._dtype)
            if numerics.channels_last:
                module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            _align(module)
            weights = _weight_bytes(module)
            self.module = fuse(module, batch) if numerics.fused else module
        # Memory in use: the growth measured on a GPU, the size of the weights on a CPU.
        self.bytes = max(weights, _allocated(device) - before)

    def exact(self, inputs: Inputs) -> Bits:
        """Run one pass over exactly these inputs; return the bit patterns of its outputs, `[B, C, H, W]`."""
        # Floats, not pixels: rounding to 256 levels hides most differences in the last bit.
        if self.device.type == "cuda":
            return self._graph(inputs, len(inputs)).floats(inputs).view(np.int32)
        floats: NDArray[np.float32] = self._forward(_padded(inputs, len(inputs))).contiguous().numpy()
        return floats.view(np.int32)

    def generate(self, inputs: Inputs, size: int) -> Images:
        """Run one pass over the inputs, padded to `size`; return uint8 `[len(inputs), H, W, C]`."""
        if self.device.type == "cuda":
            return self._graph(inputs, size).generate(inputs)
        with torch.inference_mode():
            pixels = to_uint8(self._forward(_padded(inputs, size))[: len(inputs)])
            images: Images = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        return images

    def _forward(self, arguments: Sequence[Tensor]) -> Tensor:
        """Run the module: float32 `[B, C, H, W]`, on the device."""
        with torch.inference_mode():
            return forward(self.module, arguments, self._dtype)

    def _graph(self, inputs: Inputs, size: int) -> Graph:
        if (graph := self._graphs.get(size)) is None:
            before = _allocated(self.device)
            graph = self._graphs[size] = Graph(
                self._forward, _padded(inputs, size), self.device, tf32=self.numerics.precision == "tf32"
            )
            self.bytes += _allocated(self.device) - before
        return graph

    def keep(self, sizes: tuple[int, ...]) -> None:
        # Recorded graphs of sizes that the self-test has rejected would keep their memory for ever.
        self._graphs = {size: graph for size, graph in self._graphs.items() if size in sizes}


def _padded(inputs: Inputs, size: int) -> list[Tensor]:
    """Copy inputs into torch's own memory, padded with zeros."""
    # Matrix products may round by how their operands are aligned, and numpy's arrays are not aligned.
    padded = []
    for array in inputs.arrays.values():
        values = torch.from_numpy(array)
        tensor = torch.zeros((size, *values.shape[1:]), dtype=values.dtype)
        tensor[: len(values)] = values
        padded.append(tensor)
    return padded


def _align(module: nn.Module) -> None:
    # Weights inside a file's bytes are not aligned, and matrix products may round by how their operands are aligned:
    # torch aligns the memory that it allocates.
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _weight_bytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
