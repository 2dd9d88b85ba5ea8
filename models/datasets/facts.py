"""What is known of a data set before it is opened: how many images, of what size, in colour or grey, of which classes.

Of a folder only names are listed and some headers read; its images are decoded by the workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from PIL import Image
from pydantic import Field

from models.catalogue import BUILTIN, DatasetProblem, class_folders, find_folder, image_files, no_images, readable
from models.config import Channels, Frozen
from models.datasets.uploads import Report

_LOOKED_AT: Final = 64  # headers read of a folder
_SMALL_SHARE: Final = 0.1  # of the images may be smaller than what is called their size
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY: Final = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"})


PER_CLASS: Final = 200
"""Images that classes need on average to be learned apart."""
LEAST_OF_A_CLASS: Final = 50
"""Images that the smallest class needs for that."""
MOST_CLASSES: Final = 100


class Facts(Frozen):
    """What is known of a data set."""

    name: str
    count: Annotated[int, Field(ge=0, description="images; of a folder, files that may turn out unusable")]
    side: Annotated[int, Field(ge=1, description="pixels that nine of ten images have on their shorter side")]
    prepared: Annotated[bool, Field(description="prepared in that size and these colours, and to be had in no other")]
    channels: Annotated[Channels, Field(description="1: no image has colours")]
    classes: tuple[str, ...]
    fewest: Annotated[int | None, Field(description="images of the smallest class; null: not known, or no classes")] = (
        None
    )

    def blurred_classes(self) -> str | None:
        """Say why its classes cannot be learned apart, as the end of a sentence; None where they can."""
        number = len(self.classes)
        if number < 2:
            return "there are not two"
        if number > MOST_CLASSES or self.count < PER_CLASS * number:
            return f"{number} classes of {self.count // number:,} images on average are too few for each"
        if self.fewest is not None and self.fewest < LEAST_OF_A_CLASS:
            return f"one of {number} classes has {self.fewest} images, which is too few to learn it from"
        return None


class _Header(NamedTuple):
    side: int
    grey: bool


def of_builtin(name: str) -> Facts:
    """Give what is known of a built-in data set."""
    known = BUILTIN[name]
    return Facts(
        name=name,
        count=known.count,
        side=known.size,
        prepared=False,
        channels=1 if known.channels == 1 else 3,
        classes=known.classes,
        fewest=min(known.counts) if known.classes else None,
    )


def of_upload(name: str, report: Report) -> Facts:
    """Give what is known of an uploaded data set that is prepared."""
    return Facts(
        name=name,
        count=report.count,
        side=report.size,
        prepared=True,
        channels=report.channels,
        classes=tuple(report.classes),
        fewest=min(report.classes.values(), default=None),
    )


def of_folder(name: str, images_dir: Path) -> Facts:
    """Give what is known of a `folder:PATH`, by the names in it and the headers of some of its images.

    Raises:
        DatasetProblem: the folder leaves `images_dir`, does not exist, or holds no image.
    """
    folder = find_folder(name, images_dir)
    files = list(image_files(folder))
    if not files:
        raise no_images(name, folder)
    headers = [header for file in _some(files) if (header := _header(file)) is not None]
    if not headers:
        raise DatasetProblem(f'"{name}": none of the image files looked at in {folder} can be read: are they images?')
    sides = sorted(header.side for header in headers)
    root, classes = class_folders(files)
    counts = Counter(file.relative_to(root).parts[0] for file in files) if classes else {}
    return Facts(
        name=name,
        count=len(files),
        side=sides[int(len(sides) * _SMALL_SHARE)],
        prepared=False,
        channels=1 if all(header.grey for header in headers) else 3,
        classes=tuple(readable(each) for each in classes),
        fewest=min(counts.values(), default=None),
    )


def _some(files: Sequence[Path]) -> Sequence[Path]:
    """Choose files from the whole of a folder, always the same ones."""
    return files[:: -(-len(files) // _LOOKED_AT)]


def _header(file: Path) -> _Header | None:
    """Read what an image says of itself; None where it says nothing that can be understood."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            return _Header(min(image.size), image.mode in _GREY)
    except Exception:  # noqa: BLE001  # Pillow's readers raise all kinds of exceptions on damaged files
        return None
