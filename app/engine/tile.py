"""Forward passes of a fixed shape: latents in, uint8 pictures out. Who shares a tile is `batcher`'s to decide.

Matrix products and convolutions choose their kernels by the shape of the batch, and kernels round differently: an
image's bytes would depend on what else was asked for. So every pass has one of a few shapes ("tiles"), padded if need
be, and only shapes that were seen to give the very same floats are used beside each other (`calibration`).
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.engine.batcher import Pictures
from app.engine.inputs import Inputs, Latents


def to_uint8(x: Tensor) -> Tensor:
    """Turn outputs in [-1, 1] into pixels on their own device: floor((x + 1) * 127.5 + 0.5), clamped to 0..255.

    The same bytes as `models.pictures.to_uint8`; truncating after the clamp is the floor. Overwrites `x`.
    """
    return x.add_(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N`; of a list such as `cuda:0,cuda:1`, the first serves.

    Raises:
        ValueError: the device does not exist here.
    """
    name = name.partition(",")[0].strip()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f'ATELIER_DEVICE is "{name}", which cannot be used here ({reason}); set auto or cpu'
        ) from error
    return device


def prepare_device(device: torch.device, threads: int) -> None:
    """Set what holds for the whole process: thread count, and only kernels that repeat themselves exactly."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def describe_device(device: torch.device) -> str:
    """Name the device's model: two devices of one description choose the same kernels."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}"


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def software() -> dict[str, str]:
    """List the versions on which rounding depends."""
    return {"torch": torch.__version__, "numpy": np.__version__}


class Network:
    """A generator on its device.

    Args:
        generator: takes `[B, dim]`, gives `[B, C, H, W]` in [-1, 1]; moved to `device` and set to eval mode.
    """

    def __init__(self, generator: nn.Module, device: torch.device) -> None:
        before = _allocated(device)
        self.module = generator.to(device).eval().requires_grad_(False)
        self.device = device
        _align(self.module)
        self.bytes = max(_weight_bytes(self.module), _allocated(device) - before)
        """Memory taken: the growth measured on a GPU, the weights' own size on a CPU."""

    def floats(self, z: Latents, size: int) -> Tensor:
        """Run one pass over `size` latents, `z` and then zeros; the outputs stay on the device."""
        with torch.inference_mode():
            # Torch's own memory: matrix products may round by how their operands are aligned, and numpy's are not.
            latents = torch.empty((size, z.shape[1]))
            latents[: len(z)] = torch.from_numpy(z)
            latents[len(z) :] = 0.0
            outputs: Tensor = self.module(latents.to(self.device))
            return outputs

    def exact(self, z: Latents) -> NDArray[np.int32]:
        """Run one pass over exactly `z` and give the outputs' bit patterns, `[B, C, H, W]`.

        Pixels would hide differences of the last bit, which show only where a value lies at the edge of two pixels.
        """
        floats: NDArray[np.float32] = self.floats(z, len(z)).contiguous().cpu().numpy()
        return floats.view(np.int32)

    def pictures(self, z: Latents, size: int) -> Pictures:
        """Run one pass over `z`, padded to `size`; uint8 `[len(z), H, W, C]`."""
        with torch.inference_mode():
            pixels = to_uint8(self.floats(z, size)[: len(z)])
            pictures: Pictures = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
            return pictures


def _align(module: nn.Module) -> None:
    """Move weights that lie inside a file's bytes to memory of their own, aligned as torch aligns it."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _weight_bytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


class Painter:
    """A network and the tiles it is run in.

    Args:
        sizes: admitted tile sizes, ascending; the last is the reference tile, which all others agree with.
        seconds: what one reference tile takes, at first; `batcher` keeps it up to date.
    """

    def __init__(self, network: Network, sizes: tuple[int, ...], seconds: float) -> None:
        self.network = network
        self.sizes = sizes
        self.seconds = seconds

    @property
    def tile(self) -> int:
        """Images in a reference tile."""
        return self.sizes[-1]

    def paint(self, inputs: Inputs) -> Pictures:
        """Paint up to a tile of images in the smallest admitted tile that holds them.

        Returns:
            uint8 `[k, H, W, C]`.
        """
        size = min(size for size in self.sizes if size >= len(inputs))
        return self.network.pictures(inputs.z, size)
