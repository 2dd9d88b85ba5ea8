"""A generator on one device in one numerics: inputs in, pictures out, in passes of whatever size it is told to run."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.engine.folding import fold, fuse, has_onednn
from app.engine.graphs import Graph
from app.engine.inputs import Inputs
from app.engine.queue import Pictures
from models.config.values import Frozen

Bits = NDArray[np.int32]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Numerics(Frozen):
    """What decides how a network rounds, beside the size of its passes."""

    precision: Precision = "fp32"
    channels_last: bool = False
    fused: bool = False

    @property
    def bytes(self) -> int:
        """What one weight takes."""
        return DTYPES[self.precision].itemsize


PLAIN = Numerics()


def candidates(generator: nn.Module, device: torch.device) -> list[Numerics]:
    """List the numerics that may be worth trying for a network on a device; the plain one is always the first."""
    # Convolutions in reduced precision want channels last everywhere; without any there is nothing to lay out.
    layout = any(parameter.ndim == 4 for parameter in generator.parameters())
    precisions: tuple[Precision, ...] = ("fp32",)
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


def to_uint8(x: Tensor) -> Tensor:
    """Turn outputs in [-1, 1] into pixels on their own device: floor((x + 1) * 127.5 + 0.5), clamped to 0..255.

    The same bytes as `models.pictures.to_uint8`; truncating after the clamp is the floor. Overwrites `x`.
    """
    return x.add_(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


class Network:
    """A generator on its device.

    Args:
        generator: takes `[B, dim]` (and int64 labels `[B]` if it is conditional), gives `[B, C, H, W]` in [-1, 1];
            in eval mode, float32, and used up.
        numerics: one of `candidates`.
        batch: the size of pass that the weights are laid out for.
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
        self.bytes = max(weights, _allocated(device) - before)
        """Memory taken: the growth measured on a GPU, the weights' own size on a CPU."""

    def exact(self, inputs: Inputs) -> Bits:
        """Run one pass over exactly these inputs and give the outputs' bit patterns, `[B, C, H, W]`.

        Pixels would hide differences of the last bit, which show only where a value lies at the edge of two pixels.
        """
        if self.device.type == "cuda":
            return self._graph(inputs, len(inputs)).floats(inputs).view(np.int32)
        floats: NDArray[np.float32] = self._forward(*_padded(inputs, len(inputs))).contiguous().numpy()
        return floats.view(np.int32)

    def pictures(self, inputs: Inputs, size: int) -> Pictures:
        """Run one pass over the inputs, padded to `size`; uint8 `[len(inputs), H, W, C]`."""
        if self.device.type == "cuda":
            return self._graph(inputs, size).pictures(inputs)
        with torch.inference_mode():
            pixels = to_uint8(self._forward(*_padded(inputs, size))[: len(inputs)])
            pictures: Pictures = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        return pictures

    def _forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Run the module: float32 `[B, C, H, W]`, on the device."""
        with torch.inference_mode():
            z = z.to(self._dtype)
            outputs: Tensor = self.module(z) if labels is None else self.module(z, labels)
            return outputs.float()

    def _graph(self, inputs: Inputs, size: int) -> Graph:
        if (graph := self._graphs.get(size)) is None:
            before = _allocated(self.device)
            graph = self._graphs[size] = Graph(
                self._forward, to_uint8, *(_padded(inputs, size)), self.device, tf32=self.numerics.precision == "tf32"
            )
            self.bytes += _allocated(self.device) - before
        return graph

    def keep(self, sizes: tuple[int, ...]) -> None:
        """Forget what was prepared for passes of other sizes."""
        self._graphs = {size: graph for size, graph in self._graphs.items() if size in sizes}


def _padded(inputs: Inputs, size: int) -> tuple[Tensor, Tensor | None]:
    """Copy inputs into torch's own memory, and zeros behind them.

    Matrix products may round by how their operands are aligned, and numpy's are not.
    """
    z = torch.zeros((size, inputs.z.shape[1]))
    z[: len(inputs)] = torch.from_numpy(inputs.z)
    if inputs.labels is None:
        return z, None
    labels = torch.zeros(size, dtype=torch.int64)
    labels[: len(inputs)] = torch.from_numpy(inputs.labels)
    return z, labels


def _align(module: nn.Module) -> None:
    """Move weights that lie inside a file's bytes to memory of their own, aligned as torch aligns it."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _weight_bytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
