"""The networks of each family as plain values: their layers, the sizes that they fit, and how many weights they have.

`models.networks` builds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from models.frozen import Frozen, Misfit

Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]

# A generator grows a base square by doubling: 28 = 7 x 2^2, 32 = 4 x 2^3, 64 = 4 x 2^4, 128 = 8 x 2^4 or 4 x 2^5.
DCGAN_BASE: dict[int, int] = {28: 7, 32: 4, 64: 4, 128: 8}
R3GAN_BASE: dict[int, int] = {28: 7, 32: 4, 64: 4, 128: 4}
PATCH = 4
"""Pixels on each side of a patch."""
GROUP = 16
"""Channels of a group in an r3gan block's middle convolution."""


class MlpGenerator(Frozen):
    """Fully connected layers with ReLU, then tanh: latent - hidden... - pixels."""

    family: Literal["mlp"] = "mlp"
    hidden: Widths = (256, 512, 1024)

    def check(self, size: int) -> None:
        """Accept images of any size."""

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        return _dense((inputs, *self.hidden, size * size * channels))


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


class _R3gan(Frozen):
    family: Literal["r3gan"] = "r3gan"
    widths: Widths = (256, 256, 256, 256)
    blocks: Annotated[int, Field(ge=1, le=8, description="residual blocks per stage")] = 1

    def check(self, size: int) -> None:
        """Refuse widths that do not fit the size, or cannot be cut into groups (`Misfit`)."""
        _check_steps(self.widths, size, R3GAN_BASE[size], extra=1)
        if odd := [width for width in self.widths if 2 * width % GROUP]:
            message = f"widths are multiples of {GROUP // 2}, which {', '.join(map(str, odd))} is not"
            raise Misfit([("network.widths", message)])

    def _body(self) -> int:
        """Count the weights of blocks and of changes of width."""
        # Two 1x1 convolutions between width and twice it, groups of 3x3 between them, two biases.
        block = sum(4 * width**2 + 2 * width * 9 * GROUP + 4 * width for width in self.widths)
        changes = sum(a * b for a, b in pairwise(self.widths) if a != b)
        return self.blocks * block + changes

    def total_blocks(self) -> int:
        """Count the residual blocks of the network."""
        return self.blocks * len(self.widths)


class R3ganGenerator(_R3gan):
    """A learned base square scaled by the latent, then a stage of residual blocks per width, doubling in between."""

    def parameters(self, size: int, channels: int, inputs: int) -> int:
        """Count the weights of a network with so many inputs."""
        first, last = self.widths[0], self.widths[-1]
        return first * R3GAN_BASE[size] ** 2 + inputs * first + self._body() + last * channels


class R3ganDiscriminator(_R3gan):
    """A stage of residual blocks per width, halving in between, down to the base square; then one logit."""

    def parameters(self, size: int, channels: int, classes: int) -> int:
        """Count the weights, with a table of features for each class."""
        first, last = self.widths[0], self.widths[-1]
        head = last * last + classes * last if classes else last
        return channels * first + self._body() + last * R3GAN_BASE[size] ** 2 + head


def _dense(sizes: Sequence[int]) -> int:
    return sum((a + 1) * b for a, b in pairwise(sizes))


def _check_steps(widths: Sequence[int], size: int, base: int, extra: int) -> None:
    steps = (size // base).bit_length() - 1
    if len(widths) != steps + extra:
        message = f"{base} to {size} px takes {steps} steps: give {steps + extra} widths, not {len(widths)}"
        raise Misfit([("network.widths", message)])
