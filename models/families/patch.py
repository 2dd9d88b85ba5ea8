"""Small convolutional networks that work on patches of 4 x 4 pixels, for training on a CPU."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from models.config.values import ConfigConflict, ImageShape
from models.families.spec import (
    DiscriminatorNetwork,
    FamilySpec,
    GeneratorNetwork,
    Widths,
    Work,
    convolution,
    dense,
    total,
)

if TYPE_CHECKING:
    from torch import nn

# Pixels on each side of a patch.
PATCH: Final = 4


def grid(shape: ImageShape) -> tuple[int, int]:
    """Return the rows and columns of patches in an image."""
    return shape.height // PATCH, shape.width // PATCH


def _require_whole_patches(shape: ImageShape) -> None:
    if shape.height % PATCH or shape.width % PATCH:
        message = f"{shape.height}x{shape.width} px are no whole patches of {PATCH}: choose another"
        raise ConfigConflict([("network.family", message)])


class PatchGenerator(GeneratorNetwork):
    """A linear layer to `widths[0]` channels, 3x3 convolutions between the widths, then one to patches of pixels."""

    family: Literal["patch"] = "patch"
    widths: Widths = (64, 64)

    @property
    def uses_batch_norm(self) -> bool:
        return True

    def check(self, shape: ImageShape) -> None:
        _require_whole_patches(shape)

    def parameters(self, shape: ImageShape, inputs: int) -> int:
        rows, columns = grid(shape)
        linear = (inputs + 1) * self.widths[0] * rows * columns
        # 3x3 weights without bias between widths, and a gain and a shift for each normalised channel.
        convolutions = sum(9 * a * b for a, b in pairwise(self.widths)) + 2 * sum(self.widths)
        return linear + convolutions + (9 * self.widths[-1] + 1) * shape.channels * PATCH**2

    def work(self, shape: ImageShape, inputs: int) -> Work:
        rows, columns = grid(shape)
        pairs = pairwise((*self.widths, shape.channels * PATCH**2))
        convolutions = [convolution(a, b, rows * columns, kernel=3) for a, b in pairs]
        return total([dense(inputs, rows * columns * self.widths[0]), *convolutions])

    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        from models.networks import patch

        return patch.generator(self, shape, inputs, classes)


class PatchDiscriminator(DiscriminatorNetwork):
    """A 3x3 convolution of patches to `widths[0]`, a halving one to each further width, then one logit."""

    family: Literal["patch"] = "patch"
    widths: Widths = (64, 128)

    def check(self, shape: ImageShape) -> None:
        _require_whole_patches(shape)

    def last_grid(self, shape: ImageShape) -> tuple[int, int]:
        """Count the rows and columns of the last convolution's output."""
        rows, columns = grid(shape)
        for _ in self.widths[1:]:
            rows, columns = _halved(rows, columns)
        return rows, columns

    def parameters(self, shape: ImageShape, classes: int) -> int:
        inputs = (shape.channels * PATCH**2, *self.widths[:-1])
        convolutions = sum((9 * a + 1) * b for a, b in zip(inputs, self.widths, strict=True))
        rows, columns = self.last_grid(shape)
        return classes * self.widths[-1] + convolutions + self.widths[-1] * rows * columns + 1

    def work(self, shape: ImageShape, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        rows, columns = grid(shape)
        layers = [convolution(shape.channels * PATCH**2, self.widths[0], rows * columns, kernel=3)]
        for a, b in pairwise(self.widths):
            rows, columns = _halved(rows, columns)
            layers.append(convolution(a, b, rows * columns, kernel=3))
        return total([*layers, dense(rows * columns * self.widths[-1], 1)])

    def build(self, shape: ImageShape, classes: int) -> nn.Module:
        from models.networks import patch

        return patch.discriminator(self, shape, classes)


FAMILY = FamilySpec(
    name="patch",
    title="Patches",
    sentence="Small convolutions over patches of 4 x 4 pixels: a CPU trains them in minutes.",
    generator=PatchGenerator,
    discriminator=PatchDiscriminator,
)


def _halved(rows: int, columns: int) -> tuple[int, int]:
    return (rows + 1) // 2, (columns + 1) // 2
