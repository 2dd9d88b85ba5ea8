"""Draws what a prepared data set looks like: a contact sheet of images from all over it, and the mean of all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.datasets.uploads import KEPT_EVERY, MEAN, PREVIEW
from models.files import replace_file
from worker.data.prepared import IMAGES, Manifest

_SHEET: Final = 64  # images on the contact sheet
_SHEET_SIDE: Final = 1024  # px that it should have at least


def draw(folder: Path, manifest: Manifest) -> None:
    """Write `mean.png` and, last, `preview.png` into the folder of a prepared set."""
    from models.pictures import encode, grid

    chosen = np.linspace(0, manifest.count - 1, min(_SHEET, manifest.count)).round().astype(np.int64)
    sheet: list[NDArray[np.uint8]] = []
    total = np.zeros((manifest.channels, manifest.size, manifest.size), np.int64)
    start = 0
    for images in _pixels(folder / IMAGES, manifest):
        total += images.sum(axis=0, dtype=np.int64)
        sheet += [images[index - start].copy() for index in chosen if start <= index < start + len(images)]
        start += len(images)
    mean = np.rint(total / manifest.count).astype(np.uint8)
    scale = max(1, _SHEET_SIDE // 8 // manifest.size)
    laid_out = grid(np.stack(sheet).transpose(0, 2, 3, 1), nrow=8, scale=scale)
    for name, picture in ((MEAN, mean.transpose(1, 2, 0)), (PREVIEW, laid_out)):
        replace_file(folder / name, encode(np.ascontiguousarray(picture), "png"))


def _pixels(path: Path, manifest: Manifest) -> Iterator[NDArray[np.uint8]]:
    """Read all images in pieces, uint8 `[n, C, H, W]`; mapped, the whole file would count as this process's memory."""
    shape = (-1, manifest.channels, manifest.size, manifest.size)
    with path.open("rb") as file:
        while data := file.read(KEPT_EVERY * manifest.channels * manifest.size**2):
            yield np.frombuffer(data, np.uint8).reshape(shape)
