"""Animated WebP (RFC 9649): stills by Pillow, the container put together around them."""

from __future__ import annotations

import io
import struct

from PIL import features

from models.pictures.pixels import Pixels
from models.pictures.stills import image_of

ENCODER = f"pil {features.version('pil')}, webp {features.version('webp')}"

_ANIMATED = 0b10
_NOT_BLENDED = 0b10
_FOREVER = 0


class WebP:
    """Frames to one file, which begins with its own length: it leaves at the end (RFC 9649, sections 2.3 to 2.7)."""

    def __init__(self, fps: float) -> None:
        self._duration = max(1, round(1000 / fps))
        self._chunks: list[bytes] = []

    def add(self, frame: Pixels) -> bytes:
        """Encode a frame; nothing can leave yet."""
        canvas = _uint24(frame.shape[1] - 1) + _uint24(frame.shape[0] - 1)
        if not self._chunks:
            self._chunks.append(_chunk(b"VP8X", bytes([_ANIMATED, 0, 0, 0]) + canvas))
            self._chunks.append(_chunk(b"ANIM", bytes(4) + struct.pack("<H", _FOREVER)))
        # At (0, 0), of the canvas' size, for as long, over whatever was there before.
        header = bytes(6) + canvas + _uint24(self._duration) + bytes([_NOT_BLENDED])
        self._chunks.append(_chunk(b"ANMF", header + _bitstream(frame)))
        return b""

    def end(self) -> bytes:
        """Give the whole file."""
        length = 4 + sum(map(len, self._chunks))
        return b"".join([b"RIFF", struct.pack("<I", length), b"WEBP", *self._chunks])


def _bitstream(frame: Pixels) -> bytes:
    still = io.BytesIO()
    image_of(frame).save(still, "webp", quality=85, method=2)
    return still.getvalue()[12:]  # without the file header "RIFF", size, "WEBP"


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")
