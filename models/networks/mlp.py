"""Fully connected networks, as in the first GANs (Goodfellow et al. 2014, arXiv 1406.2661), initialised by torch."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from models.config.training import DiscriminatorConfig, GeneratorConfig, MlpDiscriminator, MlpGenerator
from models.networks.conditional import Embedded, Projected
from models.networks.dropout import Dropout
from models.networks.tanh import Tanh


def generator(config: GeneratorConfig, network: MlpGenerator) -> nn.Module:
    """Build latent - hidden... - pixels with ReLU, and tanh at the end."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((config.input_width, *network.hidden)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    layers += [nn.Linear(network.hidden[-1], config.pixels), Tanh()]
    plain = nn.Sequential(*layers, nn.Unflatten(1, (config.channels, config.size, config.size)))
    return Embedded(config.classes, plain) if config.classes else plain


def discriminator(config: DiscriminatorConfig, network: MlpDiscriminator) -> nn.Module:
    """Build pixels - hidden... - one logit, with (leaky) ReLU and dropout after each hidden layer."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise((config.pixels, *network.hidden)):
        layers += [nn.Linear(inputs, outputs), _activation(network.slope)]
        if network.dropout:
            layers.append(Dropout(network.dropout))
    width = network.hidden[-1]
    head = (nn.Linear(width, 1), nn.Flatten(0))
    if config.classes:
        return Projected(config.classes, width, nn.Sequential(*layers), nn.Sequential(*head))
    return nn.Sequential(*layers, *head)


def _activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
