"""One image file in, one square of pixels out; who calls decides which files, and what becomes of bad ones.

An image is turned upright by its EXIF tag, laid on white where it is transparent, made square (cropped to its middle,
or whole on a white square) and resized with antialiasing. Images whose shorter side is under 16 px, or that would be
enlarged more than four times, are unusable: smaller enlargements blur, larger ones teach nothing but the blur.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from models.datasets.uploads import Crop, FindingKind

_MIN_SIDE: Final = 16
_MAX_ENLARGEMENT: Final = 4
_LARGE: Final = 8_000_000  # pixels; larger images are shrunk by whole numbers before anything is done to each pixel

# Only plain raster formats: others (EPS, for one) run programs or are not pictures. JPEG includes MPO.
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY_MODES: Final = frozenset({"1", "L", "LA", "I", "F"})

# Load every plugin now: where several threads cause it at once, one may look before its plugin is there.
Image.init()
warnings.simplefilter("error", Image.DecompressionBombWarning)


class Unusable(Exception):
    """An image that cannot be used; the message goes on after the image's name: "is empty"."""

    def __init__(self, message: str, kind: FindingKind = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Shape:
    """What an image's header tells: its size in pixels, and whether its format has no colours."""

    width: int
    height: int
    grey: bool


@dataclass(frozen=True)
class Seen:
    """A decoded image, uint8 `[channels, size, size]`, and what was done to it."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    done: tuple[FindingKind, ...]


def shape_of(file: IO[bytes], max_pixels: int) -> Shape:
    """Read an image's header.

    Raises:
        Unusable: it is no image, or has more than `max_pixels`.
    """
    with _explained(), _opened(file, max_pixels) as image:
        return Shape(image.width, image.height, _is_grey(image))


def examine(file: IO[bytes], size: int, channels: int, crop: Crop, max_pixels: int) -> Seen:
    """Decode an image, and tell what had to be done to it; of an animation, the first frame.

    Raises:
        Unusable: the file is no image, is damaged, or has too few or too many pixels.
    """
    with _explained(), _opened(file, max_pixels) as image:
        _check_side(image, size)
        width, height = image.size
        if crop == "whole" and min(image.size) * size < max(image.size):
            raise Unusable(f"is {width}x{height} px: too narrow to be shown whole at {size} px", "extreme_shape")
        done = _conversions(image)
        image.draft(None, (2 * size, 2 * size))  # lets JPEG decode at a fraction, never under twice the size
        ImageOps.exif_transpose(image, in_place=True)
        shrunk = _shrunk(image, size)
        if _is_transparent(shrunk):
            done = (*done, "transparent")
        return Seen(fit(shrunk, size, channels, crop), width, height, done)


def decode(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Read an image file as uint8 `[channels, size, size]`; of an animation, the first frame.

    Raises:
        Unusable: the file is no image, is damaged, or has too few or too many pixels.
    """
    with _explained():
        if path.stat().st_size == 0:
            raise Unusable("is empty")
        with Image.open(path, formats=_FORMATS) as image:
            _check_side(image, size)
            image.draft(None, (2 * size, 2 * size))  # lets JPEG decode at a fraction, never under twice the size
            ImageOps.exif_transpose(image, in_place=True)
            return fit(image, size, channels)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn whatever Pillow raises into a reason."""
    try:
        yield
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller", "too_large") from error
    except UnidentifiedImageError as error:
        raise Unusable("holds no picture of a known format") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unusable(f"cannot be read: {reason}", "truncated" if "truncated" in reason else "unreadable") from error
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise Unusable(f"cannot be decoded: {error or type(error).__name__}") from error


@contextmanager
def _opened(file: IO[bytes], max_pixels: int) -> Iterator[Image.Image]:
    with Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise Unusable(
                f"is {image.width}x{image.height} px: at most {max_pixels:,} pixels are decoded; make it smaller",
                "too_large",
            )
        yield image


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _conversions(image: Image.Image) -> tuple[FindingKind, ...]:
    """Name what will have to be done to an image that was opened and not decoded."""
    found: dict[FindingKind, bool] = {
        "turned": image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1),
        "sixteen_bit": image.mode == "I" or image.mode.startswith("I;16"),
        "cmyk": image.mode == "CMYK",
    }
    return tuple(kind for kind, is_so in found.items() if is_so)


def _is_transparent(image: Image.Image) -> bool:
    """Tell whether anything shines through: many images say that it could, and nothing does."""
    if not image.has_transparency_data:
        return False
    alpha = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
    return alpha.getchannel("A").getextrema() != (255, 255)


def _check_side(image: Image.Image, size: int) -> None:
    least = max(_MIN_SIDE, math.ceil(size / _MAX_ENLARGEMENT))
    if min(image.size) < least:
        raise Unusable(f"is {image.width}x{image.height} px: images need at least {least} px on each side", "too_small")


def _shrunk(image: Image.Image, size: int) -> Image.Image:
    """Shrink a very large image to no less than twice the size, so that few copies of it are held at once."""
    factor = min(image.size) // (2 * size)
    if image.width * image.height <= _LARGE or factor < 2 or image.mode.startswith("I;16"):
        return image
    if image.mode in ("1", "P"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def fit(image: Image.Image, size: int, channels: int, crop: Crop = "centre") -> NDArray[np.uint8]:
    """Make an image square and resize it: uint8 `[channels, size, size]`.

    Args:
        image: of any mode and shape.
        size: of the result.
        channels: 1 or 3.
        crop: its middle square, or the whole of it in the middle of a white one.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if crop == "centre":
        image = image.crop((left, top, left + side, top + side))
    image = _convert(image, channels)
    if crop == "whole":
        image = ImageOps.pad(image, (size, size), Image.Resampling.LANCZOS, color="white")
    elif side != size:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _convert(image: Image.Image, channels: int) -> Image.Image:
    """Convert any mode to 8-bit grey or colour."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _from_16_bits(image)
    elif image.mode == "F":
        raise Unusable("has floating-point pixels of unknown range: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255, rounding; Pillow's own conversion clips or cuts."""
    values = np.array(image, np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise Unusable("has 32-bit pixels of unknown range: save it with 8 or 16 bits")
    values += 128
    values //= 257
    return Image.fromarray(values.astype(np.uint8))
