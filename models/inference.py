"""Inference: a generator run over named inputs, and its images as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.inputs import Inputs
from models.pictures.pixels import tensor_to_uint8

CPU = torch.device("cpu")


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
        generator: on the device, in evaluation mode; it takes float32.
        inputs: at least one image's.
        device: where the generator is.
        batch_size: images in one pass, the last one may have fewer; None runs one pass. Passes of other sizes may
            round differently.
    """
    size = batch_size or len(inputs)
    batches = (inputs.slice(start, start + size) for start in range(0, len(inputs), size))
    pixels = [tensor_to_uint8(forward(generator, to_tensors(batch, device))) for batch in batches]
    return pixels[0] if len(pixels) == 1 else torch.cat(pixels)


def to_tensors(inputs: Inputs, device: torch.device) -> list[Tensor]:
    """Return inputs as tensors on a device, in the order in which the generator takes them."""
    return [torch.from_numpy(array).to(device) for array in inputs.arrays.values()]


def forward(generator: nn.Module, arguments: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> Tensor:
    """Run one pass: float32 `[n, C, H, W]` in [-1, 1], or thereabouts.

    Args:
        generator: with weights of type `dtype`.
        arguments: the inputs on its device, in its order; those with fractions are converted to `dtype`.
    """
    cast = [argument.to(dtype) if argument.is_floating_point() else argument for argument in arguments]
    images: Tensor = generator(*cast)
    return images.float()
