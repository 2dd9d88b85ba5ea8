"""Fully connected networks, as in the first GANs (Goodfellow et al. 2014, arXiv 1406.2661), initialised by torch."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from models.config.values import ImageShape
from models.families.mlp import MlpDiscriminator, MlpGenerator
from models.networks.layers import Dropout, Embedded, Projected, Tanh


def generator(network: MlpGenerator, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
    """Build latent - hidden... - pixels with ReLU, and tanh at the end."""
    layers: list[nn.Module] = []
    for a, b in pairwise((inputs, *network.hidden)):
        layers += [nn.Linear(a, b), nn.ReLU(inplace=True)]
    layers += [nn.Linear(network.hidden[-1], shape.values), Tanh()]
    plain = nn.Sequential(*layers, nn.Unflatten(1, (shape.channels, shape.height, shape.width)))
    return Embedded(classes, plain) if classes else plain


def discriminator(network: MlpDiscriminator, shape: ImageShape, classes: int) -> nn.Module:
    """Build pixels - hidden... - one logit, with (leaky) ReLU and dropout after each hidden layer."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise((shape.values, *network.hidden)):
        layers += [nn.Linear(a, b), _activation(network.slope)]
        if network.dropout:
            layers.append(Dropout(network.dropout))
    width = network.hidden[-1]
    head = (nn.Linear(width, 1), nn.Flatten(0))
    if classes:
        return Projected(classes, width, nn.Sequential(*layers), nn.Sequential(*head))
    return nn.Sequential(*layers, *head)


def _activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
