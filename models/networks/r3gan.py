"""Residual networks without normalisation layers, after Huang et al. 2024 (R3GAN, arXiv 2501.05441)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from models.config.networks import EMBEDDED
from models.config.values import ImageShape
from models.families.r3gan import BASE, GROUP, R3ganDiscriminator, R3ganGenerator
from models.networks.layers import embedding

_SLOPE = 0.2
# The gain that keeps the variance through a leaky ReLU.
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))


class Generator(nn.Module):
    """A learned square whose channels are scaled by latent and class, then stages of blocks; no tanh at the end."""

    def __init__(self, network: R3ganGenerator, shape: ImageShape, inputs: int, classes: int) -> None:
        super().__init__()
        first, base, total = network.widths[0], BASE[shape.height], network.total_blocks()
        # Equal to a linear layer of a one-hot label: N(0, 1 / classes).
        self.embedding = embedding(classes, EMBEDDED, classes**-0.5) if classes else None
        self.square = nn.Parameter(_normal(torch.empty(first, base, base), 1.0))
        self.scale = _linear(inputs, first)
        self.lowest = _blocks(first, network.blocks, total)
        layers: list[nn.Module] = []
        for before, width in pairwise(network.widths):
            layers += [_convolution(before, width)] if before != width else []
            layers += [Up(), _blocks(width, network.blocks, total)]
        self.higher = nn.Sequential(*layers, _convolution(network.widths[-1], shape.channels))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images, mostly in [-1, 1], of latents `[N, dim]`, and int64 labels `[N]` if conditional."""
        # The lowest resolution is computed in fp32 also under autocast.
        with torch.autocast(z.device.type, enabled=False):
            if self.embedding is not None:
                z = torch.cat((z, self.embedding(labels)), 1)
            x = self.lowest(self.square * self.scale(z)[:, :, None, None])
        images: Tensor = self.higher(x)
        return images


class Discriminator(nn.Module):
    """Stages of blocks down to the base square, a depthwise convolution over it, then one logit."""

    def __init__(self, network: R3ganDiscriminator, shape: ImageShape, classes: int) -> None:
        super().__init__()
        last, base, total = network.widths[-1], BASE[shape.height], network.total_blocks()
        layers: list[nn.Module] = [_convolution(shape.channels, network.widths[0])]
        for width, after in pairwise(network.widths):
            layers += [_blocks(width, network.blocks, total), Down()]
            layers += [_convolution(width, after)] if width != after else []
        self.higher = nn.Sequential(*layers)
        self.lowest = _blocks(last, network.blocks, total)
        self.square = _convolution(last, last, kernel=base, groups=last)
        self.head = _linear(last, last if classes else 1)
        # Equal to a linear layer of a one-hot label with gain 1 / sqrt(width).
        deviation = (last * classes) ** -0.5 if classes else 0.0
        self.embedding = embedding(classes, last, deviation) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return a logit for each image, and its int64 label if conditional: `[N]`."""
        x = self.higher(images)
        # The lowest resolution in fp32, as in the generator.
        with torch.autocast(x.device.type, enabled=False):
            h = self.head(self.square(self.lowest(x.to(self.head.weight.dtype))).flatten(1))
            # A conditional one compares its last features with those of the class: <h, e(y)>.
            logits: Tensor = h if self.embedding is None else h * self.embedding(labels)
            return logits.sum(1)


class Block(nn.Module):
    """x + 1x1, grouped 3x3 at twice the width, 1x1; a bias and a leaky ReLU before each but the first."""

    def __init__(self, width: int, total: int) -> None:
        super().__init__()
        # Fixup (Zhang et al. 2019, arXiv 1901.09321): weights shrink with the number of blocks in the network, and the
        # last
        # convolution of a block begins at 0, so that each block begins as the identity.
        inner, gain = 2 * width, _GAIN * total**-0.25
        self.widen = _convolution(width, inner, gain)
        self.first_bias = nn.Parameter(torch.zeros(inner, 1, 1))
        self.mix = _convolution(inner, inner, gain, kernel=3, padding=1, groups=inner // GROUP)
        self.second_bias = nn.Parameter(torch.zeros(inner, 1, 1))
        self.narrow = _convolution(inner, width, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        inner = leaky_relu(self.widen(x) + self.first_bias, _SLOPE)
        inner = leaky_relu(self.mix(inner) + self.second_bias, _SLOPE)
        result: Tensor = x + self.narrow(inner)
        return result


class _Resampling(nn.Module):
    """A depthwise convolution with the separable kernel [1, 3, 3, 1]."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        # Computed without tensors, whose arithmetic on the meta device imports torch's compiler.
        # A buffer, saved with the weights: a network that is built on the meta device gets it from their file.
        taps = (1.0, 3.0, 3.0, 1.0)
        self.register_buffer("kernel", torch.tensor([[[[a * b / divisor for b in taps] for a in taps]]]))

    def _kernel(self, x: Tensor) -> Tensor:
        kernel: Tensor = self.get_buffer("kernel").to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return kernel


class Up(_Resampling):
    def __init__(self) -> None:
        # The sum of the kernel is 64 = 8 x 8; a doubled pixel gets a quarter of the taps.
        super().__init__(16)

    def forward(self, x: Tensor) -> Tensor:
        """Resample `[N, C, H, W]` to `[N, C, 2 H, 2 W]`."""
        return conv_transpose2d(x, self._kernel(x), stride=2, padding=1, groups=x.shape[1])


class Down(_Resampling):
    def __init__(self) -> None:
        super().__init__(64)

    def forward(self, x: Tensor) -> Tensor:
        """Resample `[N, C, H, W]` to `[N, C, H / 2, W / 2]`."""
        return conv2d(x, self._kernel(x), stride=2, padding=1, groups=x.shape[1])


def _blocks(width: int, count: int, total: int) -> nn.Sequential:
    return nn.Sequential(*[Block(width, total) for _ in range(count)])


def _convolution(
    inputs: int, outputs: int, gain: float = 1.0, *, kernel: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, groups=groups, bias=False)
    _normal(layer.weight, gain * (inputs // groups * kernel**2) ** -0.5)
    return layer


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    _normal(layer.weight, inputs**-0.5)
    return layer


# In place N(0, deviation^2); on the meta device there is nothing to fill.
@torch.no_grad()
def _normal(weight: Tensor, deviation: float) -> Tensor:
    return weight if weight.is_meta else weight.normal_(0.0, deviation)
