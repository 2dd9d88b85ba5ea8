"""Convolutional networks after Radford et al. 2016 (arXiv 1511.06434): strided convolutions, batch normalisation."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from models.config.values import ImageShape
from models.families.dcgan import BASE, DcganDiscriminator, DcganGenerator
from models.networks.layers import Embedded, Flatten, Projected, Tanh, Unflatten

_INIT_STD = (
    0.02  # section 4 of the paper; for batch normalisation, the spread of the gain around 1 in the authors' code
)


def generator(network: DcganGenerator, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
    """Build a linear layer to the base square, then transposed convolutions that double it, and tanh."""
    base = BASE[shape.height]
    first = network.widths[0]
    layers: list[nn.Module] = [nn.Linear(inputs, first * base * base), Unflatten(1, (first, base, base))]
    for before, width in pairwise(network.widths):
        # Normalisation subtracts any bias, so only the last convolution has one.
        layers += [*_normalised(before), nn.ConvTranspose2d(before, width, 4, stride=2, padding=1, bias=False)]
    last = network.widths[-1]
    layers += [*_normalised(last), nn.ConvTranspose2d(last, shape.channels, 4, stride=2, padding=1), Tanh()]
    plain = _initialise(nn.Sequential(*layers))
    return Embedded(classes, plain) if classes else plain


def _normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def discriminator(network: DcganDiscriminator, shape: ImageShape, classes: int) -> nn.Module:
    """Build halving convolutions with LeakyReLU, normalised in all but the first, then one logit."""
    first, base = network.widths[0], BASE[shape.height]
    layers: list[nn.Module] = [
        nn.Conv2d(shape.channels, first, 4, stride=2, padding=1),
        nn.LeakyReLU(network.slope, inplace=True),
    ]
    for before, width in pairwise(network.widths):
        normalised = network.norm == "batch"
        layers.append(nn.Conv2d(before, width, 4, stride=2, padding=1, bias=not normalised))
        layers += [nn.BatchNorm2d(width)] if normalised else []
        layers.append(nn.LeakyReLU(network.slope, inplace=True))
    last = network.widths[-1]
    # A conditional network splits here: the features are also compared with an embedding of the class.
    head = (Flatten(), nn.Linear(last * base * base, 1), nn.Flatten(0))
    if classes:
        trunk = _initialise(nn.Sequential(*layers))
        return Projected(classes, last, trunk, _initialise(nn.Sequential(*head)))
    return _initialise(nn.Sequential(*layers, *head))


def _initialise(network: nn.Sequential) -> nn.Sequential:
    if next(network.parameters()).is_meta:
        # There is nothing to fill, and the attempt would import torch's compiler, which takes seconds.
        return network
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, _INIT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, _INIT_STD)
    return network
