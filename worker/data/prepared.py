"""A prepared data set on disk, `images.u8 labels.npy manifest.json` in one folder: written once, then only read.

Who writes it, when, and that nobody sees half of one is up to `worker.data.ingest`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from models.config.values import Frozen

IMAGES = "images.u8"
_LABELS = "labels.npy"
_MANIFEST = "manifest.json"

Positive = Annotated[int, Field(gt=0)]


class DataProblem(ValueError):
    """A data set that cannot be prepared; the message says which, where and what to do."""


class Skipped(NamedTuple):
    """An image left out, and why: `image "NAME" REASON` is a sentence."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f'image "{self.name}" {self.reason}'


class Manifest(Frozen):
    """What a prepared set holds: `count` images of `channels` x `size` x `size` px; no classes: no labels."""

    format: Literal[1] = 1
    dataset: str
    size: Positive
    channels: Positive
    count: Positive
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be trained on.

    `images` is uint8 `[N, C, H, W]`, mapped copy-on-write: writing to it never reaches the file. `labels` is int64
    `[N]`, indices into `classes`, or None.
    """

    path: Path
    manifest: Manifest
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    @property
    def count(self) -> int:
        """Images in it."""
        return self.manifest.count

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for a set without labels."""
        return self.manifest.classes

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Images that were left out."""
        return self.manifest.skipped


def read_manifest(path: Path) -> Manifest | None:
    """Read the manifest of the prepared set in `path`; None where there is none, or none that this program wrote."""
    try:
        return Manifest.model_validate_json((path / _MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def read(path: Path) -> Prepared | None:
    """Open the prepared set in `path`; None where there is no whole one."""
    manifest = read_manifest(path)
    if manifest is None:
        return None
    shape = (manifest.count, manifest.channels, manifest.size, manifest.size)
    try:
        if (path / IMAGES).stat().st_size != np.prod(shape, dtype=np.int64):
            return None
        images = np.memmap(path / IMAGES, np.uint8, mode="c", shape=shape)
        labels = np.load(path / _LABELS, allow_pickle=False) if manifest.classes else None
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return Prepared(path, manifest, images, labels)


class Writer:
    """Writes a prepared set into a folder, image by image; a context manager that closes its file.

    The file is written, not mapped: on a full disk a write fails with an error, a mapping kills the process.
    """

    def __init__(self, folder: Path, dataset: str, size: int, channels: int) -> None:
        self._folder = folder
        self._dataset = dataset
        self._shape = (channels, size, size)
        self._labels: list[int] = []
        self._hash = hashlib.sha256()
        self._file = (folder / IMAGES).open("wb")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, image: NDArray[np.uint8], label: int | None) -> None:
        """Add one image, uint8 `[C, H, W]`; a label for every image or for none."""
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"an image is {image.dtype} {image.shape}, expected uint8 {self._shape}")
        data = image.tobytes()
        self._file.write(data)
        self._hash.update(data)
        self.count += 1
        if label is not None:
            self._labels.append(label)

    def finish(self, classes: Sequence[str], skipped: Sequence[Skipped]) -> None:
        """Write labels and manifest and bring everything to the disk; classes without an image are dropped."""
        _sync(self._file)
        channels, size, _ = self._shape
        _seal(
            self._folder,
            self._labels,
            Manifest(
                dataset=self._dataset,
                size=size,
                channels=channels,
                count=self.count,
                classes=tuple(classes),
                skipped=tuple(skipped),
                sha256={IMAGES: self._hash.hexdigest()},
            ),
        )


def seal(
    folder: Path, dataset: str, size: int, channels: int, labels: Sequence[int], classes: Sequence[str]
) -> Manifest:
    """Make a prepared set of a folder whose `images.u8` was written and synced by somebody else.

    Args:
        folder: where it lies.
        dataset: the set's name.
        size: pixels on each side of every image.
        channels: 1 or 3.
        labels: of every image, or none; classes without an image are dropped.
        classes: names that labels point into.
    """
    with (folder / IMAGES).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        count = file.tell() // (channels * size * size)
    manifest = Manifest(
        dataset=dataset,
        size=size,
        channels=channels,
        count=count,
        classes=tuple(classes),
        skipped=(),
        sha256={IMAGES: digest},
    )
    return _seal(folder, labels, manifest)


def _seal(folder: Path, labels: Sequence[int], manifest: Manifest) -> Manifest:
    """Write the labels and, last, the manifest; its classes are cut down to those that have an image."""
    used: list[int] = sorted(set(labels))
    hashes = dict(manifest.sha256)
    if used:
        with (folder / _LABELS).open("wb") as file:
            np.save(file, np.searchsorted(used, labels).astype(np.int64), allow_pickle=False)
            _sync(file)
        hashes[_LABELS] = hashlib.sha256((folder / _LABELS).read_bytes()).hexdigest()
    classes = tuple(manifest.classes[label] for label in used)
    sealed = manifest.model_copy(update={"classes": classes, "sha256": hashes})
    with (folder / _MANIFEST).open("w", encoding="utf-8") as file:
        file.write(sealed.model_dump_json(indent=1))
        _sync(file)
    return sealed


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
