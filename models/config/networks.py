"""Configurations of a generator and of a discriminator: everything that is needed to build one again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from models.config.inputs import FixedOutput, InputSpec, LabelInput, Latent, LatentInput, OutputSpec
from models.config.values import Channels, ConfigConflict, Frozen, ImageShape, Size
from models.families.spec import AnyDiscriminator, AnyGenerator, Network, Work

MAX_PARAMETERS: Final = 100_000_000
MAX_CLASSES: Final = 100_000
# Width of the learned embedding of a class, which a conditional generator takes beside the latent.
EMBEDDED: Final = 64

Classes = Annotated[
    int, Field(ge=0, le=MAX_CLASSES, description="0: not conditional", exclude_if=lambda count: count == 0)
]


class _ImageConfig(Frozen):
    size: Size
    channels: Channels

    @cached_property
    def shape(self) -> ImageShape:
        """The images' shape: `size` is written for square ones, which all families here make."""
        return ImageShape(self.size, self.size, self.channels)

    @property
    def pixels(self) -> int:
        """Values in one image, height x width x channels."""
        return self.shape.values


class GeneratorConfig(_ImageConfig):
    """A generator, as a manifest carries it.

    A conditional one takes the class of each image, one of `classes`; without any, the field is left out of JSON.
    """

    latent: Latent
    network: AnyGenerator
    classes: Classes = 0

    # Cached, like `shape`: every request for images reads it.
    @cached_property
    def inputs(self) -> dict[str, InputSpec]:
        """Inputs by name, in the order in which the network takes them."""
        specs: dict[str, InputSpec] = {"z": LatentInput(dim=self.latent.dim, prior=self.latent.prior)}
        if self.classes:
            specs["label"] = LabelInput(classes=self.classes)
        return specs

    @property
    def output(self) -> OutputSpec:
        """Shape of the images."""
        return FixedOutput(height=self.shape.height, width=self.shape.width, channels=self.channels)

    @property
    def input_width(self) -> int:
        """Values that the first layer takes: the latent, and what is learned for the class."""
        return self.latent.dim + (EMBEDDED if self.classes else 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check(self.network, self.shape, self.parameters)
        return self

    def parameters(self) -> int:
        """Count the weights, by arithmetic."""
        return self.classes * EMBEDDED + self.network.parameters(self.shape, self.input_width)

    def work(self) -> Work:
        """Count the work of a pass for one image, by arithmetic."""
        return self.network.work(self.shape, self.input_width)


class DiscriminatorConfig(_ImageConfig):
    """A discriminator; a conditional one takes the class of each image."""

    network: AnyDiscriminator
    classes: Classes = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check(self.network, self.shape, self.parameters)
        return self

    def parameters(self) -> int:
        """Count the weights, by arithmetic."""
        return self.network.parameters(self.shape, self.classes)

    def work(self) -> Work:
        """Count the work of a pass for one image, by arithmetic."""
        return self.network.work(self.shape, self.classes)


def _check(network: Network, shape: ImageShape, parameters: Callable[[], int]) -> None:
    network.check(shape)
    if (count := parameters()) > MAX_PARAMETERS:
        raise ConfigConflict(
            [("network", f"{count:,} parameters are too many: at most {MAX_PARAMETERS:,}, make it narrower")]
        )
