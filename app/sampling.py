"""A sampling request from its parameters to its bytes: what is refused, which seed, tag and headers, which container.

Numbers become images in `app.engine`, images become pictures in `models.pictures`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Annotated, Literal

import PIL
import PIL.features
from pydantic import BaseModel, ConfigDict, Field

from app.engine.inputs import Seeded, Source
from app.negotiation import cache_control, etag
from app.problems import invalid
from app.streams import ZipStream, npy_header
from models import pictures
from models.config import MAX_SEED, GeneratorConfig, Seed
from models.manifest import WEIGHTS, Manifest
from models.versions import Version, parse_number

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
# Other releases of these may write other bytes for the same pixels.
ENCODER = f"pillow {PIL.__version__}, zlib {PIL.features.version('zlib')}, webp {PIL.features.version('webp')}"
INLINE_BYTES = 1 << 15
"""Pictures up to this size (0.3 ms) are encoded on the event loop: a thread would take longer to wake than that."""
STREAM_BYTES = 12 << 20
"""What a streamed answer holds in memory: two pieces in the engine, one on its way out."""


class SampleQuery(BaseModel):
    """What to paint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: Annotated[int, Field(ge=1, description="images; at most 4096 unless set otherwise")] = 25
    model: Annotated[
        str | None, Field(description="NAME, NAME@VERSION or NAME@ALIAS; without it the default model")
    ] = None
    seed: Annotated[Seed | None, Field(description="without it one is drawn, and told in X-Atelier-Seed")] = None
    class_: Annotated[str | None, Field(alias="class", description="label or class name, for conditional models")] = (
        None
    )
    psi: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False, description="truncation; 1 changes no byte")] = 1.0
    nrow: Annotated[int | None, Field(ge=1, description="images per row; without it floor(sqrt(n))")] = None
    scale: Annotated[int, Field(ge=1, le=16, description="enlargement of a grid, nearest neighbour")] = 1
    format: Annotated[Format | None, Field(description="without it PNG, or what Accept admits instead")] = None


@dataclass(frozen=True)
class Order:
    """A request that can be fulfilled: every choice made."""

    version: Version
    pinned: bool
    seeded: bool
    seed: int
    format: Format
    n: int
    psi: float
    columns: int
    scale: int

    @property
    def manifest(self) -> Manifest:
        """What the version says about itself."""
        assert self.version.manifest is not None
        return self.version.manifest

    @property
    def generator(self) -> GeneratorConfig:
        """The network's configuration."""
        return self.manifest.generator

    def _etag(self, fingerprint: str) -> str:
        return etag(
            self.version.ref, self.manifest.files[WEIGHTS].sha256, fingerprint, ENCODER,
            self.format, self.seed, self.n, self.psi, self.columns, self.scale,
        )  # fmt: skip

    def headers(self, fingerprint: str, *, private: bool) -> dict[str, str]:
        """Give the headers of the answer, whole or 304.

        Args:
            fingerprint: names the numerics of the device.
            private: only the caller may see the answer.
        """
        return {
            "ETag": self._etag(fingerprint),
            "Cache-Control": cache_control(seeded=self.seeded, pinned=self.pinned, private=private),
            "Vary": "Accept",
            "X-Atelier-Model": self.version.ref,
            "X-Atelier-Seed": str(self.seed),
        }

    def source(self) -> Source:
        """Give the images' inputs."""
        return Seeded(self.generator, self.seed, range(self.n), self.psi)

    def text(self, index: int) -> dict[str, str]:
        """Give the text chunks of a PNG whose first image is `index`."""
        model, _, number = self.version.ref.partition("@")
        return {"model": model, "version": number, "seed": str(self.seed), "first index": str(index)}


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
    if query.class_ is not None:
        raise invalid(
            [{"loc": ("query", "class"), "msg": f"{version.ref} is not conditional: it has no classes to ask for"}]
        )
    if image_format in ("png", "webp", "jpeg"):
        _check_size(query, image_format, version.manifest.generator.size, settings.max_pixels)
    return Order(
        version=version,
        pinned=parse_number((query.model or "").partition("@")[2]) is not None,
        seeded=query.seed is not None,
        seed=secrets.randbelow(MAX_SEED + 1) if query.seed is None else query.seed,
        format=image_format,
        n=query.n,
        psi=query.psi,
        columns=min(query.nrow or isqrt(query.n), query.n),
        scale=query.scale,
    )


def _check_size(query: SampleQuery, image_format: Literal["png", "webp", "jpeg"], size: int, max_pixels: int) -> None:
    side_limit = pictures.side_limit(image_format)

    def fits(n: int) -> bool:
        height, width = pictures.grid_size(n, size, query.nrow, query.scale)
        return height * width <= max_pixels and max(height, width) <= side_limit

    if fits(query.n):
        return
    height, width = pictures.grid_size(query.n, size, query.nrow, query.scale)
    # No more images than that can fit, whatever their arrangement.
    bound = min(query.n, max_pixels // (size * query.scale) ** 2)
    largest = next((n for n in range(bound, 0, -1) if fits(n)), 0)
    remedy = f"the largest n is {largest}" if largest else "not even one image fits: lower scale"
    raise invalid(
        [
            {
                "loc": ("query", "n"),
                "msg": f"a {image_format} of {width}x{height} px is too large (at most {max_pixels:,} pixels, "
                f"{side_limit:,} on a side): {remedy}",
            }
        ]
    )


async def picture(sampler: Sampler, order: Order) -> bytes:
    """Paint a grid and encode it.

    Raises:
        Overloaded: too much waits already.
        VersionNotReady: the version cannot be loaded.
    """
    height, width = pictures.grid_size(order.n, order.generator.size, order.columns, order.scale)
    held = order.n * order.generator.pixels + 2 * height * width * order.generator.channels
    with sampler.admission.admit(held):
        images = await sampler.sample(order.version, order.source())
        if height * width * order.generator.channels <= INLINE_BYTES:
            return _encoded_grid(order, images)
        return await sampler.workers.run(lambda: _encoded_grid(order, images))


def _encoded_grid(order: Order, images: Pictures) -> bytes:
    assert order.format in ("png", "webp", "jpeg")
    whole = pictures.grid(images, order.columns, order.scale)
    return pictures.encode(whole, order.format, order.text(0))


def npy_length(order: Order) -> int:
    """Give the bytes of an answer in `npy`."""
    return len(_npy_header(order)) + order.n * order.generator.pixels


def _npy_header(order: Order) -> bytes:
    size = order.generator.size
    return npy_header((order.n, size, size, order.generator.channels))


async def npy_pieces(sampler: Sampler, order: Order) -> AsyncGenerator[bytes]:
    """Paint images and hand them on as one `.npy`; errors as in `picture`, before the first piece."""
    async with _painting(sampler, order) as pieces:
        before = _npy_header(order)
        async for images in pieces:
            yield before + images.tobytes()
            before = b""


async def zip_pieces(sampler: Sampler, order: Order) -> AsyncGenerator[bytes]:
    """Paint images and hand them on as PNGs in a zip, with a list of them; errors as in `picture`."""
    stream = ZipStream()
    start = 0
    async with _painting(sampler, order) as pieces:
        async for images in pieces:
            yield await sampler.workers.run(lambda: _zipped(stream, order, images, start))  # noqa: B023  # awaited here
            start += len(images)
    stream.add("index.json", json.dumps(_index(order), indent=1).encode())
    yield stream.end()


@contextlib.asynccontextmanager
async def _painting(sampler: Sampler, order: Order) -> AsyncIterator[AsyncIterator[Pictures]]:
    piece = min(order.n * order.generator.pixels, STREAM_BYTES)
    with sampler.admission.admit(piece):
        images = sampler.images(order.version, order.source())
        async with contextlib.aclosing(images):
            yield images


def _zipped(stream: ZipStream, order: Order, images: Pictures, start: int) -> bytes:
    for index, image in enumerate(images, start):
        stream.add(_name(index), pictures.encode(image, "png", order.text(index)))
    return stream.take()


def _name(index: int) -> str:
    return f"{index:04d}.png"


def _index(order: Order) -> Mapping[str, object]:
    images = [{"file": _name(index), "seed": order.seed, "index": index} for index in range(order.n)]
    return {"model": order.version.ref, "seed": order.seed, "psi": order.psi, "images": images}
