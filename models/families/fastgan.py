"""The generator of FastGAN for small sets of photographs, after Liu et al. 2021 (arXiv 2101.04775)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field

from models.config.values import ImageShape
from models.families.spec import (
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

# A generator grows a base square by doubling: 28 = 7 x 2^2, all others from 4 x 4.
BASE: Final[dict[int, int]] = {28: 7, 32: 4, 64: 4, 128: 4, 256: 4}
# Doublings from a resolution to the one whose channels it excites; the paper has one more, and 256 px and above.
SKIPPED: Final = 3


class FastganGenerator(GeneratorNetwork):
    """A linear layer to the base square, then one doubling stage per further width, and a convolution to pixels.

    `widths` are channels from the base square to the full resolution. The last stage is convolved before it is doubled
    and after that, so that the work at full resolution is between its own few channels. Skip-layer excitation: channels
    of a resolution are scaled by sigmoids that a resolution 8 times as small computes for each image.
    """

    family: Literal["fastgan"] = "fastgan"
    widths: Widths = (256, 160, 96, 64, 24)
    activation: Annotated[
        Literal["relu", "glu"], Field(description="glu, as published, costs twice the convolutions")
    ] = "relu"
    excitation: Annotated[bool, Field(description="skip-layer excitation")] = True

    @property
    def uses_batch_norm(self) -> bool:
        return True

    def check(self, shape: ImageShape) -> None:
        require_widths(self.widths, shape.height, base_side(BASE, shape), extra=1)

    def resized(self, shape: ImageShape) -> Self:
        count = doublings(shape.height, base_side(BASE, shape)) + 1
        return self.model_copy(update={"widths": resized_widths(self.widths, count)})

    def excited(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of stages: one whose channels are scaled by the other, counted from 0, the base square."""
        if self.excitation:
            # The last stage has few channels, and follows from the one before it.
            yield from ((stage, stage - SKIPPED) for stage in range(SKIPPED, len(self.widths) - 1))

    def parameters(self, shape: ImageShape, inputs: int) -> int:
        first, last = self.widths[0], self.widths[-1]
        factor = 2 if self.activation == "glu" else 1
        # The linear layer has no bias; each normalisation has a gain and a shift.
        count = inputs * 2 * first * BASE[shape.height] ** 2 + 4 * first
        for before, width in zip(self.widths, self.widths[1:], strict=False):
            count += 9 * before * width * factor + 2 * width * factor
        if len(self.widths) > 1:
            count += 9 * last * last * factor + 2 * last * factor
        for stage, source in self.excited():
            a, b = self.widths[source], self.widths[stage]
            count += (16 * a + 1) * b + (b + 1) * b
        return count + (9 * last + 1) * shape.channels

    def work(self, shape: ImageShape, inputs: int) -> Work:
        side, first, last = BASE[shape.height], self.widths[0], self.widths[-1]
        factor = 2 if self.activation == "glu" else 1
        layers = [dense(inputs, 2 * first * side**2)]
        for stage in range(1, len(self.widths)):
            before, width = self.widths[stage - 1], self.widths[stage] * factor
            if stage < len(self.widths) - 1:
                side *= 2
            layers.append(convolution(before, width, side**2, kernel=3))
        if len(self.widths) > 1:
            side *= 2
            layers.append(convolution(last, last * factor, side**2, kernel=3))
        for stage, source in self.excited():
            layers += [
                convolution(self.widths[source], self.widths[stage], 1, kernel=4),
                dense(self.widths[stage], self.widths[stage]),
            ]
        return total([*layers, convolution(last, shape.channels, side**2, kernel=3)])

    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        from models.networks import fastgan

        return fastgan.generator(self, shape, inputs, classes)


FAMILY = FamilySpec(
    name="fastgan",
    title="FastGAN",
    sentence="Convolutions that double the resolution, with channels excited by lower ones: for few photographs.",
    generator=FastganGenerator,
)
