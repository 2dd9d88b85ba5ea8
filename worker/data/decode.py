"""Image decoding: one file in, uint8 `[C, H, W]` out.

An image is rotated as its EXIF tag says, composed with white where it is transparent, cropped or padded to the target's
aspect ratio and resized with antialiasing.
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

from models.config.values import ImageShape
from models.datasets.uploads import Crop, FindingKind

_MIN_SIDE: Final = 16
_MAX_ENLARGEMENT: Final = 4  # more than that would teach a network nothing but blur
_LARGE: Final = 8_000_000  # pixels; larger images are reduced by a whole factor before anything else, to save memory

# Only raster formats: others, such as EPS, run programs. JPEG includes MPO.
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY_MODES: Final = frozenset({"1", "L", "LA", "I", "F"})

# Load every plugin now: when several threads trigger it at once, one may search before its plugin is registered.
Image.init()
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnusableImage(Exception):
    """An image that cannot be used; the message continues a sentence after the image's name: "is empty"."""

    def __init__(self, message: str, kind: FindingKind = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class ImageHeader:
    """Width and height in pixels, and whether the format has no colours."""

    width: int
    height: int
    grey: bool


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image, uint8 `[C, H, W]`, its original size, and the conversions that it needed."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    conversions: tuple[FindingKind, ...]


def read_header(file: IO[bytes], max_pixels: int) -> ImageHeader:
    """Read an image's header.

    Raises:
        UnusableImage: the file is not an image, or has more than `max_pixels`.
    """
    with _as_unusable(), _opened(file, max_pixels) as image:
        return ImageHeader(image.width, image.height, _is_grey(image))


def decode_image(file: IO[bytes], shape: ImageShape, crop: Crop, max_pixels: int) -> DecodedImage:
    """Decode an image, or the first frame of an animation, to a shape.

    Raises:
        UnusableImage: the file is not an image, is damaged, or has too few or too many pixels.
    """
    with _as_unusable(), _opened(file, max_pixels) as image:
        _check_side(image, shape)
        width, height = image.size
        if crop == "whole" and min(image.size) * max(shape.height, shape.width) < max(image.size):
            raise UnusableImage(
                f"is {width}x{height} px: too narrow to be shown whole at {shape.width} px", "extreme_shape"
            )
        conversions = _conversions(image)
        _draft(image, shape)
        ImageOps.exif_transpose(image, in_place=True)
        reduced = _reduce(image, shape)
        if _is_transparent(reduced):
            conversions = (*conversions, "transparent")
        return DecodedImage(fit(reduced, shape, crop), width, height, conversions)


def decode_file(path: Path, shape: ImageShape) -> NDArray[np.uint8]:
    """Decode an image file, or the first frame of an animation, as uint8 `[C, H, W]` of a shape.

    Raises:
        UnusableImage: the file is not an image, is damaged, or has too few or too many pixels.
    """
    with _as_unusable():
        if path.stat().st_size == 0:
            raise UnusableImage("is empty")
        with Image.open(path, formats=_FORMATS) as image:
            _check_side(image, shape)
            _draft(image, shape)
            ImageOps.exif_transpose(image, in_place=True)
            return fit(image, shape)


@contextmanager
def _as_unusable() -> Iterator[None]:
    """Convert exceptions of Pillow to `UnusableImage`."""
    try:
        yield
    except UnusableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller", "too_large") from error
    except UnidentifiedImageError as error:
        raise UnusableImage("holds no picture of a known format") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnusableImage(
            f"cannot be read: {reason}", "truncated" if "truncated" in reason else "unreadable"
        ) from error
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise UnusableImage(f"cannot be decoded: {error or type(error).__name__}") from error


@contextmanager
def _opened(file: IO[bytes], max_pixels: int) -> Iterator[Image.Image]:
    with Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise UnusableImage(
                f"is {image.width}x{image.height} px: at most {max_pixels:,} pixels are decoded; make it smaller",
                "too_large",
            )
        yield image


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _conversions(image: Image.Image) -> tuple[FindingKind, ...]:
    """List the conversions that an image will need, before it is decoded."""
    found: dict[FindingKind, bool] = {
        "turned": image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1),
        "sixteen_bit": image.mode == "I" or image.mode.startswith("I;16"),
        "cmyk": image.mode == "CMYK",
    }
    return tuple(kind for kind, is_so in found.items() if is_so)


def _is_transparent(image: Image.Image) -> bool:
    # The pixels decide: many images have an alpha channel that is opaque.
    if not image.has_transparency_data:
        return False
    alpha = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
    return alpha.getchannel("A").getextrema() != (255, 255)


def _draft(image: Image.Image, shape: ImageShape) -> None:
    """Decode JPEG at a fraction of its size, at least twice the target."""
    image.draft(None, (2 * shape.width, 2 * shape.height))


def _check_side(image: Image.Image, shape: ImageShape) -> None:
    least = max(_MIN_SIDE, math.ceil(min(shape.height, shape.width) / _MAX_ENLARGEMENT))
    if min(image.size) < least:
        raise UnusableImage(
            f"is {image.width}x{image.height} px: images need at least {least} px on each side", "too_small"
        )


def _reduce(image: Image.Image, shape: ImageShape) -> Image.Image:
    """Reduce a very large image to no less than twice the target."""
    # Its copies in the later steps then take less memory.
    factor = min(image.width // (2 * shape.width), image.height // (2 * shape.height))
    if image.width * image.height <= _LARGE or factor < 2 or image.mode.startswith("I;16"):
        return image
    if image.mode in ("1", "P"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def fit(image: Image.Image, shape: ImageShape, crop: Crop = "centre") -> NDArray[np.uint8]:
    """Convert and resize an image of any mode and size: uint8 `[C, H, W]` of a shape.

    Args:
        image: to be converted.
        shape: of the result, with 1 or 3 channels.
        crop: the largest part of the target's aspect ratio in its middle, or the whole image, centred on white.
    """
    size = (shape.width, shape.height)
    if crop == "centre":
        width = min(image.width, image.height * shape.width // shape.height)
        height = min(image.height, image.width * shape.height // shape.width)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    # Cropped first, to convert fewer pixels; converted before resizing, since palettes cannot be interpolated.
    image = _convert(image, shape.channels)
    if crop == "whole":
        image = ImageOps.pad(image, size, Image.Resampling.LANCZOS, color="white")
    elif image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if shape.channels == 1 else pixels.transpose(2, 0, 1))


def _convert(image: Image.Image, channels: int) -> Image.Image:
    """Convert any mode to 8-bit grey or colour."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _from_16_bits(image)
    elif image.mode == "F":
        raise UnusableImage("has floating-point pixels of unknown range: save it with 8 or 16 bits")
    # On white: the colour of transparent pixels is arbitrary, often black.
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255, rounded."""
    # Pillow's own conversion clips, or drops the low bits.
    values = np.array(image, np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise UnusableImage("has 32-bit pixels of unknown range: save it with 8 or 16 bits")
    values += 128
    values //= 257
    return Image.fromarray(values.astype(np.uint8))
