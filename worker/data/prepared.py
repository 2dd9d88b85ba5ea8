"""Prepared data sets on disk, `images.u8 labels.npy manifest.json` in one folder: written once, then only read.

The writers (`worker.data.ingest`, `worker.data.uploads`) make a set visible when it is complete.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from models.config.values import Frozen, ImageShape
from models.datasets.uploads import MEAN, PREVIEW
from models.files import replace_file

IMAGES = "images.u8"
_LABELS = "labels.npy"
_MANIFEST = "manifest.json"
_SHEET_IMAGES: Final = 64
_SHEET_COLUMNS: Final = 8
_SHEET_SIDE: Final = 1024  # px that a contact sheet should have at least
_CHUNK: Final = 256  # images read at once for the pictures

Positive = Annotated[int, Field(gt=0)]


class SkippedImage(NamedTuple):
    """An image that was left out, and why: `image "NAME" REASON` is a sentence."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f'image "{self.name}" {self.reason}'


class PreparedManifest(Frozen):
    """What a prepared set holds: `count` images of `size` x `size` px; without classes it has no labels."""

    format: Literal[1] = 1
    dataset: str
    size: Positive
    channels: Positive
    count: Positive
    classes: tuple[str, ...]
    skipped: tuple[SkippedImage, ...]
    sha256: dict[str, str]

    @property
    def shape(self) -> ImageShape:
        """The shape of each image; a prepared set is square."""
        return ImageShape(self.size, self.size, self.channels)


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be trained on.

    `images` is uint8 `[N, C, H, W]`, mapped copy-on-write. `labels` is int64 `[N]`, indices into `classes`, or None.
    """

    path: Path
    manifest: PreparedManifest
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    @property
    def count(self) -> int:
        return self.manifest.count

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for a set without labels."""
        return self.manifest.classes

    @property
    def skipped(self) -> tuple[SkippedImage, ...]:
        return self.manifest.skipped


def read_manifest(path: Path) -> PreparedManifest | None:
    """Read the manifest of the prepared set in `path`; None if there is none, or an invalid one."""
    try:
        return PreparedManifest.model_validate_json((path / _MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def read_prepared(path: Path) -> Prepared | None:
    """Open the prepared set in `path`; None if there is none, or an incomplete one."""
    manifest = read_manifest(path)
    if manifest is None:
        return None
    height, width, channels = manifest.shape
    shape = (manifest.count, channels, height, width)
    try:
        if (path / IMAGES).stat().st_size != np.prod(shape, dtype=np.int64):
            return None
        images = np.memmap(path / IMAGES, np.uint8, mode="c", shape=shape)
        labels = np.load(path / _LABELS, allow_pickle=False) if manifest.classes else None
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return Prepared(path, manifest, images, labels)


class Writer:
    """Writes a prepared set into a folder, image by image; a context manager that closes its file."""

    def __init__(self, folder: Path, dataset: str, size: int, channels: int) -> None:
        self._folder = folder
        self._dataset = dataset
        self._shape = (channels, size, size)
        self._labels: list[int] = []
        self._hash = hashlib.sha256()
        # Written, not mapped: on a full disk a write fails with an error, a mapping kills the process.
        self._file = (folder / IMAGES).open("wb")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, image: NDArray[np.uint8], label: int | None) -> None:
        """Append one image, uint8 `[C, H, W]`; a label for every image or for none."""
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"an image is {image.dtype} {image.shape}, expected uint8 {self._shape}")
        data = image.tobytes()
        self._file.write(data)
        self._hash.update(data)
        self.count += 1
        if label is not None:
            self._labels.append(label)

    def finish(self, classes: Sequence[str], skipped: Sequence[SkippedImage]) -> None:
        """Write labels and manifest, and sync everything; classes without an image are dropped."""
        _sync(self._file)
        channels, size, _ = self._shape
        _write_labels_and_manifest(
            self._folder,
            self._labels,
            PreparedManifest(
                dataset=self._dataset,
                size=size,
                channels=channels,
                count=self.count,
                classes=tuple(classes),
                skipped=tuple(skipped),
                sha256={IMAGES: self._hash.hexdigest()},
            ),
        )


def finish_prepared(
    folder: Path, dataset: str, size: int, channels: int, labels: Sequence[int], classes: Sequence[str]
) -> PreparedManifest:
    """Write labels and manifest beside an `images.u8` that is written and synced.

    Args:
        folder: of the prepared set.
        dataset: its name.
        size: pixels on each side of every image.
        channels: 1 or 3.
        labels: of every image, or none; classes without an image are dropped.
        classes: names that labels point into.
    """
    with (folder / IMAGES).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        count = file.tell() // (channels * size * size)
    manifest = PreparedManifest(
        dataset=dataset,
        size=size,
        channels=channels,
        count=count,
        classes=tuple(classes),
        skipped=(),
        sha256={IMAGES: digest},
    )
    return _write_labels_and_manifest(folder, labels, manifest)


def _write_labels_and_manifest(folder: Path, labels: Sequence[int], manifest: PreparedManifest) -> PreparedManifest:
    """Write the labels and, last, the manifest, without classes that have no image."""
    used: list[int] = sorted(set(labels))
    hashes = dict(manifest.sha256)
    if used:
        with (folder / _LABELS).open("wb") as file:
            np.save(file, np.searchsorted(used, labels).astype(np.int64), allow_pickle=False)
            _sync(file)
        hashes[_LABELS] = hashlib.sha256((folder / _LABELS).read_bytes()).hexdigest()
    classes = tuple(manifest.classes[label] for label in used)
    written = manifest.model_copy(update={"classes": classes, "sha256": hashes})
    with (folder / _MANIFEST).open("w", encoding="utf-8") as file:
        file.write(written.model_dump_json(indent=1))
        _sync(file)
    return written


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def draw_pictures(folder: Path, manifest: PreparedManifest) -> None:
    """Write `mean.png` and, last, the contact sheet `preview.png` into the folder of a prepared set."""
    from models.pictures import encode, grid

    height, width, channels = manifest.shape
    chosen = np.linspace(0, manifest.count - 1, min(_SHEET_IMAGES, manifest.count)).round().astype(np.int64)
    sheet: list[NDArray[np.uint8]] = []
    total = np.zeros((channels, height, width), np.int64)
    start = 0
    for images in _chunks(folder / IMAGES, manifest.shape):
        total += images.sum(axis=0, dtype=np.int64)
        sheet += [images[index - start].copy() for index in chosen if start <= index < start + len(images)]
        start += len(images)
    mean = np.rint(total / manifest.count).astype(np.uint8)
    scale = max(1, _SHEET_SIDE // _SHEET_COLUMNS // width)
    preview = grid(np.stack(sheet).transpose(0, 2, 3, 1), nrow=_SHEET_COLUMNS, scale=scale)
    for name, picture in ((MEAN, mean.transpose(1, 2, 0)), (PREVIEW, preview)):
        replace_file(folder / name, encode(np.ascontiguousarray(picture), "png"))


def _chunks(path: Path, shape: ImageShape) -> Iterator[NDArray[np.uint8]]:
    # Read, not mapped: the pages of a mapping would count as this process's memory.
    with path.open("rb") as file:
        while data := file.read(_CHUNK * shape.values):
            yield np.frombuffer(data, np.uint8).reshape(-1, shape.channels, shape.height, shape.width)
