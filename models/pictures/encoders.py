"""Encoders of still images: PNG, WebP and JPEG."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from models.pictures.grids import Pixels

Format = Literal["png", "webp", "jpeg"]

# Measured by `python -m benchmarks.encoders` (benchmarks/RESULTS.md): for WebP and JPEG no other library is enough
# faster than Pillow to become a dependency.
_OPTIONS: dict[Format, dict[str, Any]] = {
    # Run lengths only, which is both faster and smaller than zlib's levels 1 to 4 on grids.
    "png": {"compress_level": 1, "compress_type": zlib.Z_RLE},
    # Method 1 takes 5 times as long and saves 7 %; quality 75 takes twice as long on large pictures and saves 1 %.
    "webp": {"lossless": True, "method": 0, "quality": 20},
    # Full chroma: at the sharp borders inside a grid, halved chroma shows.
    "jpeg": {"quality": 92, "subsampling": 0},
}
# Pixels on a side: signed 31 bits (PNG specification, 11.2.1), 14 bits (RFC 9649), libjpeg's JPEG_MAX_DIMENSION.
_SIDE_LIMITS: dict[Format, int] = {"png": 2**31 - 1, "webp": 16383, "jpeg": 65500}


def _by_pillow(picture: Pixels, format: Format, **options: Any) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    to_pillow(picture).save(buffer, format, **_OPTIONS[format], **options)
    return buffer.getvalue()


def _png_by_pillow(picture: Pixels, info: PngInfo) -> bytes:
    return _by_pillow(picture, "png", pnginfo=info)


_png: Callable[[Pixels, PngInfo], bytes]
try:
    from models.pictures.png import ENCODER as _PNG_ENCODER
    from models.pictures.png import encode_png as _png
except ImportError:  # no ISA-L for this platform
    _png, _PNG_ENCODER = _png_by_pillow, f"zlib {features.version('zlib')}"

_PILLOW_ENCODERS = ", ".join(f"{part} {features.version(part)}" for part in ("pil", "webp", "libjpeg_turbo"))
# The encoders with their releases, for ETags: others may write other bytes for the same pixels.
ENCODER = f"{_PILLOW_ENCODERS}, png by {_PNG_ENCODER}"


def encode(picture: Pixels, format: Format, text: Mapping[str, str] | None = None) -> bytes:  # noqa: A002
    """Encode a picture `[H, W, C]`: one channel as grey (mode L; WebP has colour only), three as RGB.

    Args:
        picture: the pixels; neither side above `side_limit(format)`.
        format: PNG and WebP are lossless.
        text: keys and values of PNG text chunks; the other formats carry none.
    """
    return _png(picture, _chunks(text or {})) if format == "png" else _by_pillow(picture, format)


def side_limit(format: Format) -> int:  # noqa: A002
    return _SIDE_LIMITS[format]


def to_pillow(picture: Pixels) -> Image.Image:
    """Return a picture `[H, W, C]` as a Pillow image of mode L or RGB."""
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)


def _chunks(text: Mapping[str, str]) -> PngInfo:
    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value)
    return chunks
