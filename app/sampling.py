"""What `/samples` alone knows: its parameters, what is refused, the images of one seed, and npy and zip, streamed."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from app.engine.inputs import Seeded
from app.painting.classes import label_of
from app.painting.grids import Grid, GridFormat
from app.painting.orders import Container, Order, pinned
from app.painting.queries import ClassRef, ModelRef, PaintQuery, PerRow, Psi, Scale
from app.problems import invalid
from app.streams import ZipStream, npy_header
from models import pictures
from models.config import MAX_SEED, GeneratorConfig, Seed
from models.versions import Version

if TYPE_CHECKING:
    from app.engine.batcher import Pictures
    from app.engine.sampler import Sampler
    from app.settings import AppSettings

Format = Literal["png", "webp", "jpeg", "npy", "zip"]

MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "npy": "application/x-npy",
    "zip": "application/zip",
}
STREAM_BYTES = 12 << 20
"""What a streamed answer holds in memory: two pieces in the engine, one on its way out."""


class SampleQuery(PaintQuery):
    """What to paint."""

    n: Annotated[int, Field(ge=1, description="images; at most 4096 unless set otherwise")] = 25
    model: ModelRef = None
    seed: Annotated[Seed | None, Field(description="without it one is drawn, and told in X-Atelier-Seed")] = None
    class_: ClassRef = None
    psi: Psi = 1.0
    nrow: PerRow = None
    scale: Scale = 1
    format: Annotated[Format | None, Field(description="without it PNG, or what Accept admits instead")] = None


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


@dataclass(frozen=True)
class Npy:
    """Every image by itself, as one array."""

    media_type = MEDIA_TYPES["npy"]
    streamed = True

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return ("npy",)

    def held(self, order: Order) -> int:
        """Count what is in memory at once."""
        return _streaming_bytes(order)

    def length(self, order: Order) -> int:
        """Give the answer's bytes."""
        return len(_npy_header(order)) + order.subject.count * order.generator.pixels

    async def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint images and hand them on as they come."""
        before = _npy_header(order)
        async with aclosing(sampler.images(order.version, order.source())) as painted:
            async for images in painted:
                yield before + images.tobytes()
                before = b""


def _npy_header(order: Order) -> bytes:
    size = order.generator.size
    return npy_header((order.subject.count, size, size, order.generator.channels))


@dataclass(frozen=True)
class Zip:
    """Every image as a PNG of its own, and a list of them."""

    images: SeededImages

    media_type = MEDIA_TYPES["zip"]
    streamed = True

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return (pictures.ENCODER, "zip")

    def held(self, order: Order) -> int:
        """Count what is in memory at once."""
        return _streaming_bytes(order)

    def length(self, order: Order) -> None:
        """Give no length: the encoder decides it."""

    async def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint images and hand them on as PNGs, in order."""
        stream = ZipStream()
        start = 0
        async with aclosing(sampler.images(order.version, order.source())) as painted:
            async for images in painted:
                yield await sampler.workers.run(lambda: _zipped(stream, order, images, start))  # noqa: B023  # awaited here
                start += len(images)
        stream.add("index.json", json.dumps(self._index(order), indent=1).encode())
        yield stream.end()

    def _index(self, order: Order) -> Mapping[str, object]:
        seed = self.images.number
        images = [
            {"file": _name(index), "seed": seed, "index": index, **told}
            for index, told in enumerate(self._classes(order))
        ]
        return {"model": order.version.ref, "seed": seed, "psi": self.images.psi, "images": images}

    def _classes(self, order: Order) -> list[dict[str, str]]:
        """Tell each image's class, where the generator is conditional."""
        labels = self.images.source(order.generator).labels(np.arange(self.images.count))
        if labels is None:
            return [{} for _ in range(self.images.count)]
        return [{"class": order.manifest.classes[label]} for label in labels]


def _zipped(stream: ZipStream, order: Order, images: Pictures, start: int) -> bytes:
    for index, image in enumerate(images, start):
        stream.add(_name(index), pictures.encode(image, "png", order.text(index)))
    return stream.take()


def _name(index: int) -> str:
    return f"{index:04d}.png"


def _streaming_bytes(order: Order) -> int:
    return min(order.subject.count * order.generator.pixels, STREAM_BYTES)


def check(query: SampleQuery, image_format: Format, settings: AppSettings) -> None:
    """Refuse what no model could answer.

    Raises:
        Problem: 422.
    """
    errors = []
    if query.n > settings.max_images:
        errors.append({"loc": ("query", "n"), "msg": f"at most {settings.max_images} images at once"})
    if image_format in ("npy", "zip"):
        arranged = {"nrow": query.nrow is not None, "scale": query.scale != 1}
        errors += [
            {"loc": ("query", name), "msg": f"arranges a grid, and format={image_format} has none: leave it out"}
            for name, given in arranged.items()
            if given
        ]
    if errors:
        raise invalid(errors)


def order(query: SampleQuery, image_format: Format, version: Version, settings: AppSettings) -> Order:
    """Make every choice that the request leaves open, a seed included.

    Raises:
        Problem: 422, the version cannot answer this.
    """
    assert version.manifest is not None
    label = label_of(version, query.class_)
    seed = secrets.randbelow(MAX_SEED + 1) if query.seed is None else query.seed
    subject = SeededImages(seed, query.n, query.psi, label)
    return Order(
        version=version,
        pinned=pinned(query.model),
        seeded=query.seed is not None,
        subject=subject,
        container=_container(query, image_format, subject, version.manifest.generator.size, settings.max_pixels),
    )


def _container(
    query: SampleQuery, image_format: Format, subject: SeededImages, size: int, max_pixels: int
) -> Container:
    if image_format == "npy":
        return Npy()
    if image_format == "zip":
        return Zip(subject)
    if (trouble := _grid(query, image_format, query.n).too_large(query.n, size, max_pixels)) is None:
        return _grid(query, image_format, query.n)
    # No more images than that can fit, whatever their arrangement.
    bound = min(query.n, max_pixels // (size * query.scale) ** 2)
    fitting = (n for n in range(bound, 0, -1) if not _grid(query, image_format, n).too_large(n, size, max_pixels))
    largest = next(fitting, 0)
    remedy = f"the largest n is {largest}" if largest else "not even one image fits: lower scale"
    raise invalid([{"loc": ("query", "n"), "msg": f"{trouble}: {remedy}"}])


def _grid(query: SampleQuery, image_format: GridFormat, n: int) -> Grid:
    return Grid(image_format, min(query.nrow or isqrt(n), n), query.scale)
