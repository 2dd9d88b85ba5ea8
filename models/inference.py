"""Inference: one pass or more of a generator over named inputs, and its images as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.inputs import Inputs

CPU = torch.device("cpu")


def to_uint8(x: Tensor) -> Tensor:
    """Convert float32 values in [-1, 1] to pixels on their device: floor((x + 1) * 127.5 + 0.5), clamped to 0..255."""
    # A fixed mapping, not stretched to the range of a batch: an image must not depend on its neighbours. Conversion
    # truncates, which after the clamp is the floor.
    return x.add(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).byte()


@torch.no_grad()
def run_generator(
    generator: nn.Module,
    inputs: Inputs,
    *,
    device: torch.device = CPU,
    batch_size: int | None = None,
) -> Tensor:
    """Return the images of a generator, uint8 `[n, C, H, W]` on the device.

    Args:
        generator: on the device, in evaluation mode, in float32.
        inputs: of at least one image.
        batch_size: images in one pass; None runs one pass. Passes of other sizes may round differently.
    """
    size = batch_size or len(inputs)
    batches = (inputs.slice(start, start + size) for start in range(0, len(inputs), size))
    pixels = [to_uint8(forward(generator, to_tensors(batch, device))) for batch in batches]
    return pixels[0] if len(pixels) == 1 else torch.cat(pixels)


def to_tensors(inputs: Inputs, device: torch.device) -> list[Tensor]:
    """Return inputs as tensors on a device, in the order in which the generator takes them."""
    return [torch.from_numpy(array).to(device) for array in inputs.arrays.values()]


def forward(generator: nn.Module, arguments: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> Tensor:
    """Run one pass; return float32 `[n, C, H, W]`, mostly in [-1, 1].

    Args:
        generator: with weights of type `dtype`.
        arguments: the inputs on its device, in its order; floating-point ones are converted to `dtype`.
    """
    cast = [argument.to(dtype) if argument.is_floating_point() else argument for argument in arguments]
    images: Tensor = generator(*cast)
    return images.float()
