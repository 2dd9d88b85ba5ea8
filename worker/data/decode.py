"""One image file in, one square of pixels out; `worker.data.ingest` decides which files and what becomes of bad ones.

An image is turned upright by its EXIF tag, laid on white where it is transparent, cropped to its middle square and
resized with antialiasing. Images whose shorter side is under 16 px, or that would be enlarged more than four times, are
unusable: smaller enlargements blur, larger ones teach a network nothing but the blur.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

_MIN_SIDE: Final = 16
_MAX_ENLARGEMENT: Final = 4

# Only plain raster formats: others (EPS, for one) run programs or are not pictures. JPEG includes MPO.
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# Load every plugin now: where several threads cause it at once, one may look before its plugin is there.
Image.init()
warnings.simplefilter("error", Image.DecompressionBombWarning)


class Unusable(Exception):
    """An image that cannot be used; the message goes on after the image's name: "is empty"."""


def decode(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Read an image file as uint8 `[channels, size, size]`; of an animation, the first frame.

    Raises:
        Unusable: the file is no image, is damaged, or has too few or too many pixels.
    """
    try:
        if path.stat().st_size == 0:
            raise Unusable("is empty")
        with Image.open(path, formats=_FORMATS) as image:
            _check_side(image, size)
            image.draft(None, (2 * size, 2 * size))  # lets JPEG decode at a fraction, never under twice the size
            ImageOps.exif_transpose(image, in_place=True)
            return fit(image, size, channels)
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller") from error
    except UnidentifiedImageError as error:
        raise Unusable("holds no picture of a known format") from error
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise Unusable(f"cannot be decoded: {error or type(error).__name__}") from error


def _check_side(image: Image.Image, size: int) -> None:
    least = max(_MIN_SIDE, math.ceil(size / _MAX_ENLARGEMENT))
    if min(image.size) < least:
        raise Unusable(f"is {image.width}x{image.height} px: images need at least {least} px on each side")


def fit(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Crop an image to its middle square and resize it: uint8 `[channels, size, size]`."""
    image = _convert(image, channels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    if side != size:
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
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unusable("has 32-bit pixels of unknown range: save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
