"""Specifications of network families, and configuration fields for a network of any registered family."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, Union

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from models.config.values import ConfigConflict, Frozen, ImageShape
from models.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Side = Literal["generator", "discriminator"]
Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]


class Work(NamedTuple):
    """The work of one pass for one image: multiplications by weights, and values that the layers return."""

    # Normalisation, activation and dropout are not counted: they multiply little, and each keeps about as many values
    # again.
    products: int
    values: int


class Network(Frozen):
    """The configuration of one network; a subclass names its family: `family: Literal["mlp"] = "mlp"`."""

    family: str
    # For messages: the setting that removes batch normalisation, and the advice.
    without_batch_norm: ClassVar[tuple[str, str]] = ("family", "choose another family")

    @property
    def uses_batch_norm(self) -> bool:
        """Whether an image's result in training depends on the batch that it is in."""
        return False

    @abstractmethod
    def check(self, shape: ImageShape) -> None:
        """Check that images of a shape fit the layers.

        Raises:
            ConfigConflict: they do not; paths begin with `network.`.
        """

    def resized(self, shape: ImageShape) -> Self:  # noqa: ARG002  # families whose layers depend on the size override it
        """Return a network of the same kind with as many layers as images of a shape need."""
        return self


class GeneratorNetwork(Network):
    """A generator's layers.

    `inputs` are the values that its first layer takes for each image: the latent, and the embedding of the class.
    """

    @abstractmethod
    def parameters(self, shape: ImageShape, inputs: int) -> int:
        """Count the weights, those of a class embedding left out."""

    @abstractmethod
    def work(self, shape: ImageShape, inputs: int) -> Work:
        """Count the work of a pass."""

    @abstractmethod
    def build(self, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
        """Build it: float32 latents `[N, dim]`, and int64 labels `[N]` with classes, to images `[N, C, H, W]`."""


class DiscriminatorNetwork(Network):
    """A discriminator's layers; with `classes` it has a table of features for each class."""

    # Weights that begin at zero have no singular vectors.
    begins_at_zero: ClassVar[bool] = False

    @abstractmethod
    def parameters(self, shape: ImageShape, classes: int) -> int:
        """Count the weights."""

    @abstractmethod
    def work(self, shape: ImageShape, classes: int) -> Work:
        """Count the work of a pass."""

    @abstractmethod
    def build(self, shape: ImageShape, classes: int) -> nn.Module:
        """Build it: images `[N, C, H, W]` in [-1, 1], and int64 labels `[N]` if there are classes, to logits `[N]`."""


@dataclass(frozen=True)
class FamilySpec:
    """A family of networks. Its generator can be trained against the discriminator of another family.

    Attributes:
        name: in configurations, as `family`.
        title, sentence: shown to people.
        generator, discriminator: None where the family has no such network.
    """

    name: str
    title: str
    sentence: str
    generator: type[GeneratorNetwork] | None = None
    discriminator: type[DiscriminatorNetwork] | None = None


FAMILIES: Final[Registry[FamilySpec]] = Registry("family")


class OfAnyFamily:
    """Pydantic metadata of a field for one side's network of any family.

    It validates like a union discriminated by `family`, and has the JSON schema of one.
    """

    def __init__(self, side: Side) -> None:
        self._side: Side = side

    def __get_pydantic_core_schema__(self, source: type[object], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.lax_or_strict_schema(
            lax_schema=core_schema.no_info_plain_validator_function(self._validate),
            strict_schema=core_schema.no_info_plain_validator_function(self._validate_strictly),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_adapter(self._side, FAMILIES.names()).core_schema)

    def _validate(self, value: object) -> object:
        return _adapter(self._side, FAMILIES.names()).validate_python(value, strict=False)

    def _validate_strictly(self, value: object) -> object:
        return _adapter(self._side, FAMILIES.names()).validate_python(value, strict=True)


# The union of the registered families. `names` is the key of the cache: a family that is registered later counts too.
@cache
def _adapter(side: Side, names: tuple[str, ...]) -> TypeAdapter[Any]:
    members = tuple(network for name in names if (network := getattr(FAMILIES.get(name), side)) is not None)
    union: Any = Annotated[Union[members], Field(discriminator="family")]  # noqa: UP007  # built at run time
    return TypeAdapter(union)


AnyGenerator = Annotated[GeneratorNetwork, OfAnyFamily("generator")]
AnyDiscriminator = Annotated[DiscriminatorNetwork, OfAnyFamily("discriminator")]


# Arithmetic that families share.


def base_side(bases: Mapping[int, int], shape: ImageShape) -> int:
    """Return the side of the square that a network grows to a square image by doubling.

    Raises:
        ConfigConflict: the image is not square, or of a size without a base.
    """
    if shape.height != shape.width or shape.height not in bases:
        sizes = ", ".join(map(str, bases))
        message = f"this family makes square images of {sizes} px, not {shape.height}x{shape.width}: choose another"
        raise ConfigConflict([("network.family", message)])
    return bases[shape.height]


def require_widths(widths: Sequence[int], side: int, base: int, extra: int) -> None:
    """Check that there is a width for each doubling from `base` to `side` pixels, and `extra` ones.

    Raises:
        ConfigConflict: there are more, or fewer.
    """
    steps = doublings(side, base)
    if len(widths) != steps + extra:
        message = f"{base} to {side} px takes {steps} steps: give {steps + extra} widths, not {len(widths)}"
        raise ConfigConflict([("network.widths", message)])


def resized_widths(widths: Sequence[int], count: int, multiple: int = 1) -> tuple[int, ...]:
    """Return the first `count` widths of a network; each missing one is half as wide as the one before.

    Args:
        widths: from the lowest resolution to the highest.
        multiple: of which each new width is a multiple.
    """
    result = list(widths[:count])
    while len(result) < count:
        result.append(max(multiple, result[-1] // 2 // multiple * multiple))
    return tuple(result)


def doublings(side: int, base: int) -> int:
    """Return the number of doublings from `base` to `side`."""
    return (side // base).bit_length() - 1


def total(layers: Sequence[Work]) -> Work:
    return Work(sum(layer.products for layer in layers), sum(layer.values for layer in layers))


def dense(inputs: int, outputs: int) -> Work:
    return Work(inputs * outputs, outputs)


def convolution(inputs: int, outputs: int, area: int, kernel: int = 1) -> Work:
    """Return the work of a convolution with `area` values in each output channel."""
    return Work(kernel**2 * inputs * outputs * area, outputs * area)
