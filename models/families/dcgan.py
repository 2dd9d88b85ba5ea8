"""Convolutional networks after Radford et al. 2016 (arXiv 1511.06434)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from models.config.values import ImageShape
from models.families.spec import (
    DiscriminatorNetwork,
    FamilySpec,
    GeneratorNetwork,
    Widths,
    Work,
    base_side,
    convolution,
    dense,
    doublings,
    require_widths,
    resized_widths,
    total,
)

if TYPE_CHECKING:
    from torch import nn

# A generator grows a base square by doubling: 28 = 7 x 2^2, 32 = 4 x 2^3, 64 = 4 x 2^4, 128 = 8 x 2^4, 256 = 8 x 2^5.
BASE: Final[dict[int, int]] = {28: 7, 32: 4, 64: 4, 128: 8, 256: 8}


class DcganGenerator(GeneratorNetwork):
    """A linear layer to `widths[0]` channels at the base size, then one doubling transposed convolution per width."""

    family: Literal["dcgan"] = "dcgan"
    widths: Widths = (512, 256, 128, 64)

    @property
    def uses_batch_norm(self) -> bool:
        return True

    def check(self, shape: ImageShape) -> None:
        require_widths(self.widths, shape.height, base_side(BASE, shape), extra=0)

    def resized(self, shape: ImageShape) -> Self:
        count = doublings(shape.height, base_side(BASE, shape))
        return self.model_copy(update={"widths": resized_widths(self.widths, count)})

    def parameters(self, shape: ImageShape, inputs: int) -> int:
        base = BASE[shape.height] ** 2 * self.widths[0]
        # Linear layer with bias and batch normalisation; convolutions with 4x4 weights; normalisation, and the last
        # bias.
        linear = (inputs + 1) * base + 2 * self.widths[0]
        outputs = (*self.widths[1:], shape.channels)
        convolutions = sum(16 * a * b for a, b in zip(self.widths, outputs, strict=True))
        return linear + convolutions + 2 * sum(self.widths[1:]) + shape.channels

    def work(self, shape: ImageShape, inputs: int) -> Work:
        side = BASE[shape.height]
        layers = [dense(inputs, side**2 * self.widths[0])]
        for a, b in pairwise((*self.widths, shape.channels)):
            layers.append(Work(16 * a * b * side**2, b * (2 * side) ** 2))
            side *= 2
        return total(layers)

    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        from models.networks import dcgan

        return dcgan.generator(self, shape, inputs, classes)


class DcganDiscriminator(DiscriminatorNetwork):
    """One halving convolution per width, normalised but for the first, LeakyReLU, then a linear layer to one logit."""

    without_batch_norm: ClassVar[tuple[str, str]] = ("norm", "set none")

    family: Literal["dcgan"] = "dcgan"
    widths: Widths = (64, 128, 256, 512)
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.2
    norm: Literal["batch", "none"] = "batch"

    @property
    def uses_batch_norm(self) -> bool:
        # The first convolution is not normalised.
        return self.norm == "batch" and len(self.widths) > 1

    def check(self, shape: ImageShape) -> None:
        require_widths(self.widths, shape.height, base_side(BASE, shape), extra=0)

    def resized(self, shape: ImageShape) -> Self:
        count = doublings(shape.height, base_side(BASE, shape))
        return self.model_copy(update={"widths": resized_widths(self.widths[::-1], count)[::-1]})

    def parameters(self, shape: ImageShape, classes: int) -> int:
        inputs = (shape.channels, *self.widths[:-1])
        convolutions = sum(16 * a * b for a, b in zip(inputs, self.widths, strict=True))
        linear = BASE[shape.height] ** 2 * self.widths[-1] + 1
        # Normalisation has a gain and a shift for each channel, a convolution without it a bias.
        others = (2 if self.norm == "batch" else 1) * sum(self.widths[1:])
        return classes * self.widths[-1] + convolutions + self.widths[0] + others + linear

    def work(self, shape: ImageShape, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        layers, side = [], shape.height
        for a, b in pairwise((shape.channels, *self.widths)):
            side //= 2
            layers.append(convolution(a, b, side**2, kernel=4))
        return total([*layers, dense(side**2 * self.widths[-1], 1)])

    def build(self, shape: ImageShape, classes: int) -> nn.Module:
        from models.networks import dcgan

        return dcgan.discriminator(self, shape, classes)


FAMILY = FamilySpec(
    name="dcgan",
    title="DCGAN",
    sentence="Convolutions that double and halve the resolution, with batch normalisation.",
    generator=DcganGenerator,
    discriminator=DcganDiscriminator,
)
