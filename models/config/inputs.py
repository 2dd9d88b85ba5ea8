"""Inputs that generators take, and the shape of the images that they make: declarations, without arrays.

`models.inputs` makes batches of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.config.values import Channels, Frozen


class Latent(Frozen):
    """The input noise `z`: `dim` values, each N(0, 1) or uniform in (-1, 1)."""

    dim: Annotated[int, Field(ge=1, le=4096)] = 100
    prior: Literal["normal", "uniform"] = "normal"


class LatentInput(Latent):
    """Noise, float32 `[n, dim]`."""

    kind: Literal["latent"] = "latent"


class LabelInput(Frozen):
    """Class labels, int64 `[n]`, each 0 to `classes` - 1."""

    kind: Literal["label"] = "label"
    classes: Annotated[int, Field(ge=1)]


class ImageInput(Frozen):
    """Images, float32 `[n, channels, H, W]` in [-1, 1]; H and W are multiples of `multiple`."""

    kind: Literal["image"] = "image"
    channels: Channels
    multiple: Annotated[int, Field(ge=1)] = 1


class MaskInput(Frozen):
    """Masks, float32 `[n, 1, H, W]`: 1 where the image is to be filled in; H and W are multiples of `multiple`."""

    kind: Literal["mask"] = "mask"
    multiple: Annotated[int, Field(ge=1)] = 1


InputSpec = Annotated[LatentInput | LabelInput | ImageInput | MaskInput, Field(discriminator="kind")]


class FixedOutput(Frozen):
    """Images that always have the same size."""

    kind: Literal["fixed"] = "fixed"
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: Channels


class ScaledOutput(Frozen):
    """Images `scale` times as high and wide as the input image."""

    kind: Literal["scaled"] = "scaled"
    scale: Annotated[int, Field(ge=1)] = 1
    channels: Channels


OutputSpec = Annotated[FixedOutput | ScaledOutput, Field(discriminator="kind")]
