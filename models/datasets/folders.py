"""What is known of a folder of images, by the names in it and the headers of some; workers decode the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from models.datasets.catalogue import DatasetProblem, class_folders, find_folder, image_files, no_images, readable
from models.datasets.info import DatasetInfo

_LOOKED_AT: Final = 64  # headers read of a folder
_SMALL_SHARE: Final = 0.1  # of the images may be smaller than what is called their size
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY: Final = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"})


class _Header(NamedTuple):
    side: int
    grey: bool


def of_folder(name: str, images_dir: Path) -> DatasetInfo:
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
    return DatasetInfo(
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
