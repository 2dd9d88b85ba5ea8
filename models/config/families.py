"""The networks of each family as plain values: their layers, the sizes that they fit, their weights and their work.

`models.networks` builds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from models.config.base import ConfigConflict, Frozen

Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]

# A generator grows a base square by doubling: 28 = 7 x 2^2, 32 = 4 x 2^3, 64 = 4 x 2^4, 128 = 8 x 2^4 or 4 x 2^5.
DCGAN_BASE: dict[int, int] = {28: 7, 32: 4, 64: 4, 128: 8}
R3GAN_BASE: dict[int, int] = {28: 7, 32: 4, 64: 4, 128: 4}
PATCH = 4
"""Pixels on each side of a patch."""
GROUP = 16
"""Channels of a group in an r3gan block's middle convolution."""


class Work(NamedTuple):
    """What one pass takes for one image: multiplications by weights, and the values that those give.

    Normalisation, activation and dropout are left out: they multiply little, and keep about as much again each.
    """

    products: int
    values: int


class MlpGenerator(Frozen):
    """Fully connected layers with ReLU, then tanh: latent - hidden... - pixels."""

    family: Literal["mlp"] = "mlp"
    hidden: Widths = (256, 512, 1024)

    def check(self, size: int) -> None:
        """Accept images of any size."""

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        return _dense((inputs, *self.hidden, size * size * channels))

    def work(self, size: int, channels: int, inputs: int) -> Work:
        """Count what a pass takes."""
        return _layers(_dense_work((inputs, *self.hidden, size * size * channels)))


class MlpDiscriminator(Frozen):
    """Fully connected layers with (leaky) ReLU and dropout: pixels - hidden... - one logit."""

    family: Literal["mlp"] = "mlp"
    hidden: Widths = (1024, 512, 256)
    slope: Annotated[float, Field(ge=0, lt=1, description="negative slope; 0 is ReLU")] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    def check(self, size: int) -> None:
        """Accept images of any size."""

    def parameters(self, size: int, channels: int, classes: int) -> int:
        """Count the weights, with a table of features for each class."""
        return classes * self.hidden[-1] + _dense((size * size * channels, *self.hidden, 1))

    def work(self, size: int, channels: int, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        """Count what a pass takes."""
        return _layers(_dense_work((size * size * channels, *self.hidden, 1)))


class DcganGenerator(Frozen):
    """A linear layer to `widths[0]` channels at the base size, then one doubling transposed convolution per width."""

    family: Literal["dcgan"] = "dcgan"
    widths: Widths = (512, 256, 128, 64)

    def check(self, size: int) -> None:
        """Refuse a number of widths that does not fit the size (`Misfit`)."""
        _check_steps(self.widths, size, DCGAN_BASE[size], extra=0)

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        base = DCGAN_BASE[size] ** 2 * self.widths[0]
        linear = (inputs + 1) * base + 2 * self.widths[0]
        outputs = (*self.widths[1:], channels)
        convolutions = sum(16 * a * b for a, b in zip(self.widths, outputs, strict=True))
        return linear + convolutions + 2 * sum(self.widths[1:]) + channels

    def work(self, size: int, channels: int, inputs: int) -> Work:
        """Count what a pass takes."""
        side = DCGAN_BASE[size]
        layers = [_dense_layer(inputs, side**2 * self.widths[0])]
        for a, b in pairwise((*self.widths, channels)):
            layers.append(Work(16 * a * b * side**2, b * (2 * side) ** 2))
            side *= 2
        return _layers(layers)


class DcganDiscriminator(Frozen):
    """One halving convolution per width, normalised but for the first, LeakyReLU, then a linear layer to one logit."""

    family: Literal["dcgan"] = "dcgan"
    widths: Widths = (64, 128, 256, 512)
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.2
    norm: Literal["batch", "none"] = "batch"

    def check(self, size: int) -> None:
        """Refuse a number of widths that does not fit the size (`Misfit`)."""
        _check_steps(self.widths, size, DCGAN_BASE[size], extra=0)

    def parameters(self, size: int, channels: int, classes: int) -> int:
        """Count the weights, with a table of features for each class."""
        inputs = (channels, *self.widths[:-1])
        convolutions = sum(16 * a * b for a, b in zip(inputs, self.widths, strict=True))
        linear = DCGAN_BASE[size] ** 2 * self.widths[-1] + 1
        # Normalisation has a gain and a shift for each channel, a convolution without it a bias.
        others = (2 if self.norm == "batch" else 1) * sum(self.widths[1:])
        return classes * self.widths[-1] + convolutions + self.widths[0] + others + linear

    def work(self, size: int, channels: int, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        """Count what a pass takes."""
        layers, side = [], size
        for a, b in pairwise((channels, *self.widths)):
            side //= 2
            layers.append(_convolution(a, b, side, kernel=4))
        return _layers([*layers, _dense_layer(side**2 * self.widths[-1], 1)])


class PatchGenerator(Frozen):
    """A linear layer to `widths[0]` channels, 3x3 convolutions between the widths, then one to patches of pixels."""

    family: Literal["patch"] = "patch"
    widths: Widths = (64, 64)

    def check(self, size: int) -> None:
        """Accept images of any size: all are whole patches."""

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        linear = (inputs + 1) * self.widths[0] * (size // PATCH) ** 2
        convolutions = sum(9 * a * b for a, b in pairwise(self.widths)) + 2 * sum(self.widths)
        return linear + convolutions + (9 * self.widths[-1] + 1) * channels * PATCH**2

    def work(self, size: int, channels: int, inputs: int) -> Work:
        """Count what a pass takes."""
        side = size // PATCH
        pairs = pairwise((*self.widths, channels * PATCH**2))
        convolutions = [_convolution(a, b, side, kernel=3) for a, b in pairs]
        return _layers([_dense_layer(inputs, side**2 * self.widths[0]), *convolutions])


class PatchDiscriminator(Frozen):
    """A 3x3 convolution of patches to `widths[0]`, a halving one to each further width, then one logit."""

    family: Literal["patch"] = "patch"
    widths: Widths = (64, 128)

    def check(self, size: int) -> None:
        """Accept images of any size: all are whole patches."""

    def square(self, size: int) -> int:
        """Give the side of what the last convolution makes."""
        side = size // PATCH
        for _ in self.widths[1:]:
            side = (side + 1) // 2
        return side

    def parameters(self, size: int, channels: int, classes: int) -> int:
        """Count the weights, with a table of features for each class."""
        inputs = (channels * PATCH**2, *self.widths[:-1])
        convolutions = sum((9 * a + 1) * b for a, b in zip(inputs, self.widths, strict=True))
        return classes * self.widths[-1] + convolutions + self.widths[-1] * self.square(size) ** 2 + 1

    def work(self, size: int, channels: int, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        """Count what a pass takes."""
        side = size // PATCH
        layers = [_convolution(channels * PATCH**2, self.widths[0], side, kernel=3)]
        for a, b in pairwise(self.widths):
            side = (side + 1) // 2
            layers.append(_convolution(a, b, side, kernel=3))
        return _layers([*layers, _dense_layer(side**2 * self.widths[-1], 1)])


class _R3gan(Frozen):
    family: Literal["r3gan"] = "r3gan"
    widths: Widths = (256, 256, 256, 256)
    blocks: Annotated[int, Field(ge=1, le=8, description="residual blocks per stage")] = 1

    def check(self, size: int) -> None:
        """Refuse widths that do not fit the size, or cannot be cut into groups (`Misfit`)."""
        _check_steps(self.widths, size, R3GAN_BASE[size], extra=1)
        if odd := [width for width in self.widths if 2 * width % GROUP]:
            message = f"widths are multiples of {GROUP // 2}, which {', '.join(map(str, odd))} is not"
            raise ConfigConflict([("network.widths", message)])

    def _body(self) -> int:
        """Count the weights of blocks and of changes of width."""
        # Two 1x1 convolutions between width and twice it, groups of 3x3 between them, two biases.
        block = sum(4 * width**2 + 2 * width * 9 * GROUP + 4 * width for width in self.widths)
        changes = sum(a * b for a, b in pairwise(self.widths) if a != b)
        return self.blocks * block + changes

    def total_blocks(self) -> int:
        """Count the residual blocks of the network."""
        return self.blocks * len(self.widths)

    def _stage(self, width: int, side: int) -> list[Work]:
        inner = 2 * width
        block = (
            _convolution(width, inner, side),
            _convolution(GROUP, inner, side, kernel=3),
            _convolution(inner, width, side),
        )
        return [*block] * self.blocks


class R3ganGenerator(_R3gan):
    """A learned base square scaled by the latent, then a stage of residual blocks per width, doubling in between."""

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        first, last = self.widths[0], self.widths[-1]
        return first * R3GAN_BASE[size] ** 2 + inputs * first + self._body() + last * channels

    def work(self, size: int, channels: int, inputs: int) -> Work:
        """Count what a pass takes."""
        side, first = R3GAN_BASE[size], self.widths[0]
        layers = [_dense_layer(inputs, first), *self._stage(first, side)]
        for before, width in pairwise(self.widths):
            layers += [_convolution(before, width, side)] if before != width else []
            layers += [Work(16 * width * side**2, width * (2 * side) ** 2), *self._stage(width, 2 * side)]
            side *= 2
        return _layers([*layers, _convolution(self.widths[-1], channels, side)])


class R3ganDiscriminator(_R3gan):
    """A stage of residual blocks per width, halving in between, down to the base square; then one logit."""

    def parameters(self, size: int, channels: int, classes: int) -> int:
        """Count the weights, with a table of features for each class."""
        first, last = self.widths[0], self.widths[-1]
        head = last * last + classes * last if classes else last
        return channels * first + self._body() + last * R3GAN_BASE[size] ** 2 + head

    def work(self, size: int, channels: int, classes: int) -> Work:
        """Count what a pass takes."""
        side, last = size, self.widths[-1]
        layers = [_convolution(channels, self.widths[0], side)]
        for width, after in pairwise(self.widths):
            layers += self._stage(width, side)
            side //= 2
            layers.append(_convolution(1, width, side, kernel=4))
            layers += [_convolution(width, after, side)] if width != after else []
        layers += self._stage(last, side)
        return _layers([*layers, _convolution(1, last, 1, kernel=side), _dense_layer(last, last if classes else 1)])


def _dense(sizes: Sequence[int]) -> int:
    return sum((a + 1) * b for a, b in pairwise(sizes))


def _layers(layers: Sequence[Work]) -> Work:
    return Work(sum(layer.products for layer in layers), sum(layer.values for layer in layers))


def _dense_work(sizes: Sequence[int]) -> list[Work]:
    return [_dense_layer(a, b) for a, b in pairwise(sizes)]


def _dense_layer(inputs: int, outputs: int) -> Work:
    return Work(inputs * outputs, outputs)


def _convolution(inputs: int, outputs: int, side: int, kernel: int = 1) -> Work:
    """Count a convolution that gives `side` x `side` values for each output, each from so many inputs."""
    return Work(kernel**2 * inputs * outputs * side**2, outputs * side**2)


def _check_steps(widths: Sequence[int], size: int, base: int, extra: int) -> None:
    steps = (size // base).bit_length() - 1
    if len(widths) != steps + extra:
        message = f"{base} to {size} px takes {steps} steps: give {steps + extra} widths, not {len(widths)}"
        raise ConfigConflict([("network.widths", message)])
