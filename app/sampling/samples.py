"""What `/samples` alone knows: its parameters, what is refused, and the images of one seed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from app.engine.inputs import Seeded
from app.http.problems import invalid, wrong_parameter
from app.sampling.classes import label_of, tell_classes
from app.sampling.containers import ImageFormat, arranged, container
from app.sampling.grids import Grid, GridFormat
from app.sampling.orders import Order
from app.sampling.queries import ClassRef, DrawnSeed, Format, PaintQuery, PerRow, Psi, Scale
from models.config.networks import GeneratorConfig
from models.config.values import MAX_SEED
from models.store.manifest import Manifest
from models.store.versions import WholeVersion, is_pinned

if TYPE_CHECKING:
    from app.settings import AppSettings


class SampleQuery(PaintQuery):
    """What to paint."""

    n: Annotated[int, Field(ge=1, description="images; at most 4096 unless set otherwise")] = 25
    seed: DrawnSeed = None
    class_: ClassRef = None
    psi: Psi = 1.0
    nrow: PerRow = None
    scale: Scale = 1
    format: Format = None


@dataclass(frozen=True)
class SeededImages:
    """The first images of a seed: the subject of `/samples`."""

    number: int
    count: int
    psi: float
    label: int | None

    @property
    def seed(self) -> str:
        """The seed, as `X-Atelier-Seed` tells it."""
        return str(self.number)

    def parts(self) -> tuple[object, ...]:
        """Give what tells these images from others of the same generator."""
        return ("seed", self.number, self.count, self.psi, self.label)

    def source(self, generator: GeneratorConfig) -> Seeded:
        """Give the images' inputs."""
        return Seeded(generator, self.number, range(self.count), self.psi, self.label)

    def text(self, index: int) -> dict[str, str]:
        """Say where a PNG's first image comes from."""
        return {"seed": self.seed, "first index": str(index)}

    def listing(self, manifest: Manifest) -> tuple[dict[str, object], list[dict[str, object]]]:
        """Tell each image's index, and its class where the generator is conditional."""
        images: list[dict[str, object]] = [{"seed": self.number, "index": index} for index in range(self.count)]
        tell_classes(images, self.source(manifest.generator).labels(np.arange(self.count)), manifest)
        return {"seed": self.number, "psi": self.psi}, images


def check(query: SampleQuery, image_format: ImageFormat, settings: AppSettings) -> None:
    """Refuse what no model could answer.

    Raises:
        Problem: 422.
    """
    errors = arranged(image_format, {"nrow": query.nrow is not None, "scale": query.scale != 1})
    if query.n > settings.max_images:
        errors.append(wrong_parameter("n", f"at most {settings.max_images} images at once"))
    if errors:
        raise invalid(errors)


def order(query: SampleQuery, image_format: ImageFormat, version: WholeVersion, settings: AppSettings) -> Order:
    """Make every choice that the request leaves open, a seed included.

    Raises:
        Problem: 422, the version cannot answer this.
    """
    label = label_of(version, query.class_)
    seed = secrets.randbelow(MAX_SEED + 1) if query.seed is None else query.seed
    subject = SeededImages(seed, query.n, query.psi, label)
    size = version.manifest.generator.size
    return Order(
        version=version,
        pinned=is_pinned(query.model),
        seeded=query.seed is not None,
        subject=subject,
        container=container(image_format, subject, lambda form: _grid(query, form, size, settings.max_pixels)),
    )


def _grid(query: SampleQuery, grid_format: GridFormat, size: int, max_pixels: int) -> Grid:
    grid = _of(query, grid_format, query.n)
    if (trouble := grid.too_large(query.n, size, max_pixels)) is None:
        return grid
    # No more images than that can fit, whatever their arrangement.
    bound = min(query.n, max_pixels // (size * query.scale) ** 2)
    fitting = (n for n in range(bound, 0, -1) if not _of(query, grid_format, n).too_large(n, size, max_pixels))
    largest = next(fitting, 0)
    remedy = f"the largest n is {largest}" if largest else "not even one image fits: lower scale"
    raise invalid([wrong_parameter("n", f"{trouble}: {remedy}")])


def _of(query: SampleQuery, grid_format: GridFormat, n: int) -> Grid:
    return Grid(grid_format, min(query.nrow or isqrt(n), n), query.scale)
