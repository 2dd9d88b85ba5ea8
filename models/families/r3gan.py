"""Residual networks without normalisation layers, after Huang et al. 2024 (R3GAN, arXiv 2501.05441)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from models.config.values import ConfigConflict, Frozen, ImageShape
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

BASE: Final[dict[int, int]] = {28: 7, 32: 4, 64: 4, 128: 4, 256: 4}
# Channels of a group in a block's middle convolution.
GROUP: Final = 16


class _Residual(Frozen):
    """What both sides share: stages of residual blocks."""

    family: Literal["r3gan"] = "r3gan"
    widths: Widths = (256, 256, 256, 256)
    blocks: Annotated[int, Field(ge=1, le=8, description="residual blocks per stage")] = 1

    def check(self, shape: ImageShape) -> None:
        require_widths(self.widths, shape.height, base_side(BASE, shape), extra=1)
        if odd := [width for width in self.widths if 2 * width % GROUP]:
            message = f"widths are multiples of {GROUP // 2}, which {', '.join(map(str, odd))} is not"
            raise ConfigConflict([("network.widths", message)])

    def total_blocks(self) -> int:
        """Count the residual blocks of the network."""
        return self.blocks * len(self.widths)

    # Weights of blocks and of changes of width.
    def _body(self) -> int:
        # Two 1x1 convolutions between width and twice it, groups of 3x3 between them, two biases.
        block = sum(4 * width**2 + 2 * width * 9 * GROUP + 4 * width for width in self.widths)
        changes = sum(a * b for a, b in pairwise(self.widths) if a != b)
        return self.blocks * block + changes

    def _stage(self, width: int, side: int) -> list[Work]:
        inner = 2 * width
        block = (
            convolution(width, inner, side**2),
            convolution(GROUP, inner, side**2, kernel=3),
            convolution(inner, width, side**2),
        )
        return [*block] * self.blocks


class R3ganGenerator(_Residual, GeneratorNetwork):
    """A learned base square scaled by the latent, then a stage of residual blocks per width, doubling in between."""

    family: Literal["r3gan"] = "r3gan"

    def resized(self, shape: ImageShape) -> Self:
        count = doublings(shape.height, base_side(BASE, shape)) + 1
        return self.model_copy(update={"widths": resized_widths(self.widths, count, GROUP // 2)})

    def parameters(self, shape: ImageShape, inputs: int) -> int:
        first, last = self.widths[0], self.widths[-1]
        return first * BASE[shape.height] ** 2 + inputs * first + self._body() + last * shape.channels

    def work(self, shape: ImageShape, inputs: int) -> Work:
        side, first = BASE[shape.height], self.widths[0]
        layers = [dense(inputs, first), *self._stage(first, side)]
        for before, width in pairwise(self.widths):
            layers += [convolution(before, width, side**2)] if before != width else []
            layers += [Work(16 * width * side**2, width * (2 * side) ** 2), *self._stage(width, 2 * side)]
            side *= 2
        return total([*layers, convolution(self.widths[-1], shape.channels, side**2)])

    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        from models.networks import r3gan

        return r3gan.Generator(self, shape, inputs, classes)


class R3ganDiscriminator(_Residual, DiscriminatorNetwork):
    """A stage of residual blocks per width, halving in between, down to the base square; then one logit."""

    # The last convolution of each residual block.
    begins_at_zero: ClassVar[bool] = True

    family: Literal["r3gan"] = "r3gan"

    def resized(self, shape: ImageShape) -> Self:
        count = doublings(shape.height, base_side(BASE, shape)) + 1
        return self.model_copy(update={"widths": resized_widths(self.widths[::-1], count, GROUP // 2)[::-1]})

    def parameters(self, shape: ImageShape, classes: int) -> int:
        first, last = self.widths[0], self.widths[-1]
        head = last * last + classes * last if classes else last
        return shape.channels * first + self._body() + last * BASE[shape.height] ** 2 + head

    def work(self, shape: ImageShape, classes: int) -> Work:
        side, last = shape.height, self.widths[-1]
        layers = [convolution(shape.channels, self.widths[0], side**2)]
        for width, after in pairwise(self.widths):
            layers += self._stage(width, side)
            side //= 2
            layers.append(convolution(1, width, side**2, kernel=4))
            layers += [convolution(width, after, side**2)] if width != after else []
        layers += self._stage(last, side)
        return total([*layers, convolution(1, last, 1, kernel=side), dense(last, last if classes else 1)])

    def build(self, shape: ImageShape, classes: int) -> nn.Module:
        from models.networks import r3gan

        return r3gan.Discriminator(self, shape, classes)


FAMILY = FamilySpec(
    name="r3gan",
    title="R3GAN",
    sentence="Residual networks without normalisation, trained steadily by relativistic pairs with R1 + R2.",
    generator=R3ganGenerator,
    discriminator=R3ganDiscriminator,
)
