"""Small convolutional networks on patches of 4 x 4 pixels, at a quarter of the resolution, for training on a CPU.

Pixel shuffle: Shi et al. 2016, arXiv 1609.05158.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from models.config.values import ImageShape
from models.families.patch import PATCH, PatchDiscriminator, PatchGenerator, grid
from models.networks.layers import Embedded, Flatten, Projected, Tanh, Unflatten

_SLOPE = 0.2


def generator(network: PatchGenerator, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
    """Build a linear layer to the grid of patches, 3x3 convolutions after batch normalisation, and tanh."""
    (rows, columns), first, last = grid(shape), network.widths[0], network.widths[-1]
    layers: list[nn.Module] = [nn.Linear(inputs, first * rows * columns), Unflatten(1, (first, rows, columns))]
    for before, width in pairwise(network.widths):
        # Normalisation subtracts any bias, so only the last convolution has one.
        layers += [*_normalised(before), nn.Conv2d(before, width, 3, padding=1, bias=False)]
    layers += [*_normalised(last), nn.Conv2d(last, shape.channels * PATCH**2, 3, padding=1)]
    # The last convolution has the 16 pixels of a patch as channels; pixel shuffle moves them to their places.
    plain = nn.Sequential(*_initialised(layers), nn.PixelShuffle(PATCH), Tanh())
    return Embedded(classes, plain) if classes else plain


def _normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def discriminator(network: PatchDiscriminator, shape: ImageShape, classes: int) -> nn.Module:
    """Build 3x3 convolutions with LeakyReLU, halving from the second on, then one logit."""
    first, last = network.widths[0], network.widths[-1]
    layers: list[nn.Module] = [nn.Conv2d(shape.channels * PATCH**2, first, 3, padding=1), _activation()]
    for before, width in pairwise(network.widths):
        layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), _activation()]
    rows, columns = network.last_grid(shape)
    linear = nn.Linear(last * rows * columns, 1)
    # Initialised together with the linear layer, which is the last one.
    layers = [nn.PixelUnshuffle(PATCH), *_initialised([*layers, linear])[:-1]]
    head = (Flatten(), linear, nn.Flatten(0))
    if classes:
        return Projected(classes, last, nn.Sequential(*layers), nn.Sequential(*head))
    return nn.Sequential(*layers, *head)


def _activation() -> nn.Module:
    return nn.LeakyReLU(_SLOPE, inplace=True)


# Weights from N(0, 2 / (1 + slope^2) / fan_in), which keeps the variance through leaky ReLUs; the last layer's from
# N(0, 1 / fan_in); biases 0.
@torch.no_grad()
def _initialised(layers: list[nn.Module]) -> list[nn.Module]:
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d) and not layer.weight.is_meta:
            variance = 1.0 if layer is layers[-1] else 2.0 / (1.0 + _SLOPE**2)
            layer.weight.normal_(0.0, (variance / layer.weight[0].numel()) ** 0.5)
            if layer.bias is not None:
                layer.bias.zero_()
    return layers
