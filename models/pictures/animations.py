"""Frames to an animation that loops for ever, as WebP or GIF.

Pillow's own writers collect every raw frame before they write the first. A time-lapse of 1042 x 1042 px would take
gigabytes so; here each frame is encoded alone, and the containers (RFC 9649; GIF89a) are put together around them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from PIL import Image

from models.pictures.grids import Pixels
from models.pictures.stills import image_of

# Browsers slow a GIF down to 10 frames a second when a frame asks for less than 2 hundredths of a second.
_GIF_SHORTEST = 2


def animate(frames: Iterable[Pixels], format: Literal["webp", "gif"], fps: float) -> bytes:  # noqa: A002
    """Encode frames of one size, holding one of them at a time beside what is encoded.

    Args:
        frames: pictures `[H, W, C]`, at least one.
        format: WebP is lossy (quality 85); GIF has 256 levels or colours per frame.
        fps: frames per second, above 0; GIF counts hundredths of a second and shows 50 at most.

    Raises:
        ValueError: there are no frames, or one differs in size from the first.
    """
    images = _alike(frames)
    first = next(images, None)
    if first is None:
        raise ValueError("an animation needs at least one frame")
    return _webp(first, images, fps) if format == "webp" else _gif(first, images, fps)


def _alike(frames: Iterable[Pixels]) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        image = image_of(frame)
        size = size or image.size
        if image.size != size:
            raise ValueError(f"frame {index} is {image.width}x{image.height} px, the first is {size[0]}x{size[1]} px")
        yield image


def _webp(first: Image.Image, rest: Iterator[Image.Image], fps: float) -> bytes:
    """Put stills into an animated file (RFC 9649, sections 2.5 to 2.7)."""
    canvas = _uint24(first.width - 1) + _uint24(first.height - 1)
    has_animation = 0b10
    duration = max(1, round(1000 / fps))
    # At (0, 0), of the canvas' size, for `duration` ms, not blended with the frame before.
    header = bytes(6) + canvas + _uint24(duration) + bytes([0b10])
    body = io.BytesIO()
    body.write(b"WEBP" + _chunk(b"VP8X", bytes([has_animation, 0, 0, 0]) + canvas))
    forever = 0
    body.write(_chunk(b"ANIM", bytes(4) + struct.pack("<H", forever)))
    for image in chain([first], rest):
        body.write(_chunk(b"ANMF", header + _webp_bitstream(image)))
    return _chunk(b"RIFF", body.getvalue())


def _webp_bitstream(image: Image.Image) -> bytes:
    still = io.BytesIO()
    image.save(still, "webp", quality=85, method=2)
    return still.getvalue()[12:]  # without the file header "RIFF", size, "WEBP"


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _gif(first: Image.Image, rest: Iterator[Image.Image], fps: float) -> bytes:
    """Put stills into an animated file (GIF89a, sections 18 to 27), each with its own palette."""
    body = io.BytesIO()
    body.write(b"GIF89a" + struct.pack("<HHBBB", first.width, first.height, 0b0111_0000, 0, 0))
    body.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # loop for ever
    delay = max(_GIF_SHORTEST, round(100 / fps))
    for image in chain([first], rest):
        body.write(b"!\xf9\x04\x00" + struct.pack("<HB", delay, 0) + b"\x00")
        body.write(_gif_image(image))
    body.write(b";")
    return body.getvalue()


def _gif_image(image: Image.Image) -> bytes:
    """Give a still's image block, its palette moved from the file (global) into the block (local)."""
    still = io.BytesIO()
    # The octree takes 18 ms for 1042 x 1042 px where the median cut takes 300, and loses 2 dB to it.
    (image if image.mode == "L" else image.quantize(256, Image.Quantize.FASTOCTREE)).save(still, "gif")
    data = still.getvalue()
    table_size = data[10] & 0b111
    block = 13 + 3 * (2 << table_size)
    has_palette = 0b1000_0000
    flags = data[block + 9] | has_palette | table_size
    return data[block : block + 9] + bytes([flags]) + data[13:block] + data[block + 10 : -1]
