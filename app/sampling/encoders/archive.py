"""Archives, streamed while images are generated: npy, one array of all, and zip, a PNG of each with an index."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.lib import format as npy

from app.engine.chunks import stream_bytes
from app.engine.queue import Images
from app.sampling.plan import RenderPlan, RunEncoder
from models import pictures

ArchiveFormat = Literal["npy", "zip"]

ARCHIVE_TYPES: dict[ArchiveFormat, str] = {"npy": "application/x-npy", "zip": "application/zip"}


@dataclass(frozen=True)
class NpyEncoder:
    """Encodes images as one array, uint8 `[n, H, W, C]`."""

    media_type = ARCHIVE_TYPES["npy"]
    streams = True

    def etag_parts(self) -> tuple[object, ...]:
        return ("npy",)

    def peak_bytes(self, plan: RenderPlan) -> int:
        return stream_bytes(len(plan.images), plan.images.generator.pixels)

    def content_length(self, plan: RenderPlan) -> int:
        return len(_header(plan)) + plan.images.total_bytes

    async def encode(
        self,
        plan: RenderPlan,
        images: AsyncGenerator[Images],
        run: RunEncoder,  # noqa: ARG002  # there is nothing to compute
    ) -> AsyncGenerator[bytes]:
        header = _header(plan)
        async with aclosing(images):
            async for chunk in images:
                yield header + chunk.tobytes()
                header = b""


def _header(plan: RenderPlan) -> bytes:
    return npy_header((len(plan.images), *plan.images.generator.shape))


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an `.npy` file for a C-ordered uint8 array of this shape."""
    buffer = io.BytesIO()
    description = npy.header_data_from_array_1_0(np.empty(0, np.uint8)) | {"shape": shape}
    npy.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


@dataclass(frozen=True)
class ZipEncoder:
    """Encodes every image as a PNG of its own, and adds an index."""

    media_type = ARCHIVE_TYPES["zip"]
    streams = True

    def etag_parts(self) -> tuple[object, ...]:
        return (pictures.ENCODER, "zip")

    def peak_bytes(self, plan: RenderPlan) -> int:
        return stream_bytes(len(plan.images), plan.images.generator.pixels)

    def content_length(self, plan: RenderPlan) -> None:  # noqa: ARG002  # the encoder decides it
        return None

    async def encode(self, plan: RenderPlan, images: AsyncGenerator[Images], run: RunEncoder) -> AsyncGenerator[bytes]:
        stream = ZipStream()
        start = 0
        async with aclosing(images):
            async for chunk in images:
                yield await run(partial(_add_images, stream, plan, chunk, start), "zip", chunk.nbytes)
                start += len(chunk)
        yield await run(partial(_add_index, stream, plan), "list", len(plan.images))


def _add_images(stream: ZipStream, plan: RenderPlan, images: Images, start: int) -> bytes:
    for index, image in enumerate(images, start):
        stream.add(_file_name(index), pictures.encode(image, "png", plan.png_text(index)))
    return stream.take()


def _add_index(stream: ZipStream, plan: RenderPlan) -> bytes:
    files = [_file_name(index) for index in range(len(plan.images))]
    stream.add("index.json", plan.images.index_json(plan.version.ref, files, plan.version.manifest.classes))
    return stream.end()


def _file_name(index: int) -> str:
    return f"{index:04d}.png"


class ZipStream:
    """A zip of stored files that readers can unpack as it arrives."""

    # The same bytes every time: all files are dated 1980-01-01. Sizes precede the files, for readers of streams.
    def __init__(self) -> None:
        self._tail = _Tail()
        self._zip = zipfile.ZipFile(self._tail, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3  # Unix, on every system
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, data)

    def take(self) -> bytes:
        return self._tail.take()

    def end(self) -> bytes:
        """Return the rest, with the central directory; nothing can be added afterwards."""
        self._zip.close()
        return self._tail.take()


class _Tail(io.BytesIO):
    """The end of a file that is taken piece by piece; positions count from the file's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def tell(self) -> int:
        return self._taken + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._taken + super().seek(offset - self._taken if whence == io.SEEK_SET else offset, whence)

    def take(self) -> bytes:
        data = self.getvalue()
        self._taken += len(data)
        super().seek(0)
        self.truncate()
        return data
