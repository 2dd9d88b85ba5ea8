"""Information on a folder of images, from file names and the headers of some files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from models.datasets.catalogue import DatasetProblem, class_folders, display_name, find_folder, image_files, no_images
from models.datasets.info import DatasetInfo

_MAX_HEADERS: Final = 64  # read of a folder
_SMALL_SHARE: Final = 0.1  # of the images may be smaller than the reported size
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY: Final = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"})


class _Header(NamedTuple):
    side: int
    grey: bool


def folder_info(name: str, images_dir: Path) -> DatasetInfo:
    """Inspect a `folder:PATH`, by file names and the headers of some of its images.

    Raises:
        DatasetProblem: the folder leaves `images_dir`, does not exist, or holds no image.
    """
    folder = find_folder(name, images_dir)
    files = list(image_files(folder))
    if not files:
        raise no_images(name, folder)
    headers = [header for file in _some(files) if (header := _header(file)) is not None]
    if not headers:
        raise DatasetProblem(f'"{name}": none of the image files inspected in {folder} can be read: are they images?')
    sides = sorted(header.side for header in headers)
    root, classes = class_folders(files)
    counts = Counter(file.relative_to(root).parts[0] for file in files) if classes else {}
    return DatasetInfo(
        name=name,
        count=len(files),
        side=sides[int(len(sides) * _SMALL_SHARE)],
        prepared=False,
        channels=1 if all(header.grey for header in headers) else 3,
        classes=tuple(display_name(each) for each in classes),
        fewest=min(counts.values(), default=None),
    )


def _some(files: Sequence[Path]) -> Sequence[Path]:
    """Choose files evenly from a folder."""
    # Always the same ones, so that the information does not change between two requests.
    return files[:: -(-len(files) // _MAX_HEADERS)]


def _header(file: Path) -> _Header | None:
    try:
        with Image.open(file, formats=_FORMATS) as image:
            return _Header(min(image.size), image.mode in _GREY)
    except Exception:  # noqa: BLE001  # Pillow's readers raise all kinds of exceptions on damaged files
        return None
