"""Every image by itself, streamed while they are painted: npy, one array of all, and zip, a PNG of each and a list."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from app.engine.pieces import streaming_bytes
from app.sampling.archives import ZipStream, npy_header
from app.sampling.orders import Order, Subject
from models import pictures
from models.store.manifest import Manifest

if TYPE_CHECKING:
    from app.engine.queue import Pictures
    from app.engine.sampler import Sampler

EachFormat = Literal["npy", "zip"]

EACH_TYPES: dict[EachFormat, str] = {"npy": "application/x-npy", "zip": "application/zip"}


class Listed(Subject, Protocol):
    """Images that can be listed."""

    def listing(self, manifest: Manifest) -> tuple[Mapping[str, object], list[dict[str, object]]]:
        """Tell what all images have in common, and what each of them is, as JSON values."""


@dataclass(frozen=True)
class Npy:
    """One array of all images."""

    media_type = EACH_TYPES["npy"]
    streamed = True

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return ("npy",)

    def held(self, order: Order) -> int:
        """Count what is in memory at once."""
        return streaming_bytes(order.subject.count, order.generator.pixels)

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

    images: Listed

    media_type = EACH_TYPES["zip"]
    streamed = True

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return (pictures.ENCODER, "zip")

    def held(self, order: Order) -> int:
        """Count what is in memory at once."""
        return streaming_bytes(order.subject.count, order.generator.pixels)

    def length(self, order: Order) -> None:
        """Give no length: the encoder decides it."""

    async def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint images and hand them on as PNGs, in order."""
        stream = ZipStream()
        start = 0
        async with aclosing(sampler.images(order.version, order.source())) as painted:
            async for images in painted:
                work = partial(_zipped, stream, order, images, start)
                yield await sampler.encode(order.version, work, "zip", images.nbytes)
                start += len(images)
        yield await sampler.encode(order.version, partial(self._end, stream, order), "list", order.subject.count)

    def _end(self, stream: ZipStream, order: Order) -> bytes:
        common, each = self.images.listing(order.manifest)
        images = [{"file": _name(index), **told} for index, told in enumerate(each)]
        index = {"model": order.version.ref, **common, "images": images}
        stream.add("index.json", json.dumps(index, indent=1).encode())
        return stream.end()


def _zipped(stream: ZipStream, order: Order, images: Pictures, start: int) -> bytes:
    for index, image in enumerate(images, start):
        stream.add(_name(index), pictures.encode(image, "png", order.text(index)))
    return stream.take()


def _name(index: int) -> str:
    return f"{index:04d}.png"
