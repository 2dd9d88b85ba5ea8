"""As what images can be asked for: one grid, or each by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from app.http.problems import ErrorItem, wrong_parameter
from app.sampling.each import EACH_TYPES, Listed, Npy, Zip
from app.sampling.grids import GRID_TYPES, Grid, GridFormat
from app.sampling.orders import Container

ImageFormat = Literal["png", "webp", "jpeg", "npy", "zip"]
IMAGE_TYPES: dict[ImageFormat, str] = GRID_TYPES | EACH_TYPES
"""Media types by format; the first is what whoever accepts anything gets."""


def container(image_format: ImageFormat, images: Listed, grid: Callable[[GridFormat], Grid]) -> Container:
    """Give what wraps `images`; `grid` makes one of them, or raises a 422 if it is too large."""
    if image_format == "npy":
        return Npy()
    if image_format == "zip":
        return Zip(images)
    return grid(image_format)


def arranged(image_format: ImageFormat, given: Mapping[str, bool]) -> list[ErrorItem]:
    """Name the parameters that arrange a grid, where one is given and there is no grid to arrange: errors for 422."""
    if image_format not in EACH_TYPES:
        return []
    message = f"arranges a grid, and format={image_format} has none: leave it out"
    return [wrong_parameter(name, message) for name, there in given.items() if there]
