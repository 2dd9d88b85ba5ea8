"""Animations: WebP and GIF loops and MP4 video, encoded frame by frame."""

from __future__ import annotations

import io
import struct
from importlib.metadata import version
from typing import Literal, Protocol

from PIL import Image, features

from models.pictures.encoders import to_pillow
from models.pictures.grids import Pixels

AnimationFormat = Literal["webp", "gif", "mp4"]

_ENCODERS: dict[AnimationFormat, str] = {
    "webp": f"pil {features.version('pil')}, webp {features.version('webp')}",
    "gif": f"pil {features.version('pil')}",
    "mp4": f"av {version('av')}",
}


class _Encoder(Protocol):
    def add(self, frame: Pixels) -> bytes: ...

    def end(self) -> bytes: ...


class Animation:
    """An encoder of one animation: the file is what `add` returns for each frame, followed by what `end` returns.

    WebP comes whole from `end`, the other formats frame by frame. MP4 frames with odd sides grow by a row or a column.
    Not thread-safe.

    Args:
        format: WebP and MP4 are lossy, GIF has 256 levels or colours per frame.
        fps: frames per second, 0.1 or more; GIF counts hundredths of a second and shows 50 at most.
        frames: how many will be added, at least one.

    Raises:
        ValueError: `frames` is less than 1.
    """

    def __init__(self, format: AnimationFormat, fps: float, frames: int) -> None:  # noqa: A002
        if frames < 1:
            raise ValueError("an animation needs at least one frame")
        self._encoder = _new_encoder(format, fps, frames)
        self._shape: tuple[int, ...] | None = None
        self._frames = frames
        self._count = 0

    def add(self, frame: Pixels) -> bytes:
        """Encode the next frame `[H, W, C]` and return the next bytes of the file, possibly none.

        Raises:
            ValueError: it differs in size or channels from the first.
        """
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise ValueError(f"frame {self._count} is {_size(frame.shape)}, the first is {_size(self._shape)}")
        self._count += 1
        return self._encoder.add(frame)

    def end(self) -> bytes:
        """Return the rest of the file.

        Raises:
            ValueError: more or fewer frames were added than were announced.
        """
        if self._count != self._frames:
            raise ValueError(f"{self._frames} frames were announced, and {self._count} were added")
        return self._encoder.end()


def animation_encoder(format: AnimationFormat) -> str:  # noqa: A002
    """Return the name and release of the encoder, for ETags."""
    # Another release may write other bytes.
    return _ENCODERS[format]


def _new_encoder(format: AnimationFormat, fps: float, frames: int) -> _Encoder:  # noqa: A002
    match format:
        case "webp":
            return WebPEncoder(fps)
        case "gif":
            return GifEncoder(fps)
        case "mp4":
            from models.pictures import mp4  # FFmpeg takes 50 ms to load

            return mp4.Mp4Encoder(fps, frames)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} px of {shape[2]} channels"


class WebPEncoder:
    """Animated WebP that loops for ever (RFC 9649, sections 2.3 to 2.7)."""

    _ANIMATED = 0b10
    _NOT_BLENDED = 0b10
    _FOREVER = 0

    def __init__(self, fps: float) -> None:
        self._duration = max(1, round(1000 / fps))
        self._chunks: list[bytes] = []

    def add(self, frame: Pixels) -> bytes:
        canvas = _uint24(frame.shape[1] - 1) + _uint24(frame.shape[0] - 1)
        if not self._chunks:
            self._chunks.append(_riff_chunk(b"VP8X", bytes([self._ANIMATED, 0, 0, 0]) + canvas))
            self._chunks.append(_riff_chunk(b"ANIM", bytes(4) + struct.pack("<H", self._FOREVER)))
        # At (0, 0), as large as the canvas, replacing what was there before.
        header = bytes(6) + canvas + _uint24(self._duration) + bytes([self._NOT_BLENDED])
        self._chunks.append(_riff_chunk(b"ANMF", header + _webp_bitstream(frame)))
        # Nothing yet: the file begins with its length.
        return b""

    def end(self) -> bytes:
        length = 4 + sum(map(len, self._chunks))
        return b"".join([b"RIFF", struct.pack("<I", length), b"WEBP", *self._chunks])


def _webp_bitstream(frame: Pixels) -> bytes:
    # Frame by frame: Pillow's own writers collect every raw frame before they write the first, which takes gigabytes
    # for a time-lapse of 1042 x 1042 px. The container is written around the encoded frames.
    image = io.BytesIO()
    to_pillow(frame).save(image, "webp", quality=85, method=2)
    return image.getvalue()[12:]  # without the file header "RIFF", size, "WEBP"


def _riff_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")


class GifEncoder:
    """Animated GIF that loops for ever, with a palette for each frame (GIF89a, sections 18 to 27)."""

    # Browsers slow a GIF down to 10 frames per second when a frame has a delay of less than 2 hundredths of a second.
    _MIN_DELAY = 2
    _LOOP_FOREVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"

    def __init__(self, fps: float) -> None:
        self._delay = max(self._MIN_DELAY, round(100 / fps))
        self._has_header = False

    def add(self, frame: Pixels) -> bytes:
        control = b"!\xf9\x04\x00" + struct.pack("<HB", self._delay, 0) + b"\x00"
        blocks = control + _gif_image_block(frame)
        if self._has_header:
            return blocks
        self._has_header = True
        height, width, _ = frame.shape
        return b"GIF89a" + struct.pack("<HHBBB", width, height, 0b0111_0000, 0, 0) + self._LOOP_FOREVER + blocks

    def end(self) -> bytes:
        return b";"


def _gif_image_block(frame: Pixels) -> bytes:
    """Return the image block of a GIF by Pillow, with its global palette as a local one."""
    file = io.BytesIO()
    image = to_pillow(frame)
    # The octree takes 18 ms for 1042 x 1042 px where the median cut takes 300, and loses 2 dB to it.
    (image if image.mode == "L" else image.quantize(256, Image.Quantize.FASTOCTREE)).save(file, "gif")
    data = file.getvalue()
    table_size = data[10] & 0b111
    block = 13 + 3 * (2 << table_size)
    has_palette = 0b1000_0000
    flags = data[block + 9] | has_palette | table_size
    return data[block : block + 9] + bytes([flags]) + data[13:block] + data[block + 10 : -1]
