"""Fully connected networks, as in the first GANs (Goodfellow et al. 2014, arXiv 1406.2661)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.config.values import ImageShape
from models.families.spec import DiscriminatorNetwork, FamilySpec, GeneratorNetwork, Widths, Work, dense, total

if TYPE_CHECKING:
    from torch import nn


class MlpGenerator(GeneratorNetwork):
    """Fully connected layers with ReLU, then tanh: latent - hidden... - pixels."""

    family: Literal["mlp"] = "mlp"
    hidden: Widths = (256, 512, 1024)

    def check(self, shape: ImageShape) -> None:
        """Accept images of any shape."""

    def parameters(self, shape: ImageShape, inputs: int) -> int:
        return _parameters((inputs, *self.hidden, shape.values))

    def work(self, shape: ImageShape, inputs: int) -> Work:
        return _work((inputs, *self.hidden, shape.values))

    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        from models.networks import mlp

        return mlp.generator(self, shape, inputs, classes)


class MlpDiscriminator(DiscriminatorNetwork):
    """Fully connected layers with (leaky) ReLU and dropout: pixels - hidden... - one logit."""

    family: Literal["mlp"] = "mlp"
    hidden: Widths = (1024, 512, 256)
    slope: Annotated[float, Field(ge=0, lt=1, description="negative slope; 0 is ReLU")] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    def check(self, shape: ImageShape) -> None:
        """Accept images of any shape."""

    def parameters(self, shape: ImageShape, classes: int) -> int:
        return classes * self.hidden[-1] + _parameters((shape.values, *self.hidden, 1))

    def work(self, shape: ImageShape, classes: int) -> Work:  # noqa: ARG002  # the same for every network
        return _work((shape.values, *self.hidden, 1))

    def build(self, shape: ImageShape, classes: int) -> nn.Module:
        from models.networks import mlp

        return mlp.discriminator(self, shape, classes)


FAMILY = FamilySpec(
    name="mlp",
    title="Fully connected",
    sentence="Fully connected layers: the smallest networks, for small grey images.",
    generator=MlpGenerator,
    discriminator=MlpDiscriminator,
)


def _parameters(sizes: Sequence[int]) -> int:
    return sum((a + 1) * b for a, b in pairwise(sizes))


def _work(sizes: Sequence[int]) -> Work:
    return total([dense(a, b) for a, b in pairwise(sizes)])
