"""Prepares a data set once: from `mnist` or `folder:cats` to a folder that `worker.data.prepared` reads.

A prepared set appears whole or not at all (staging folder, fsync, rename), is made by one process at a time (a file
lock, which the kernel frees when its holder dies), and has the same bytes each time (images sorted by name).
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.datasets.catalogue import (
    BUILTIN,
    BuiltinDataset,
    DatasetProblem,
    class_folders,
    find_folder,
    image_files,
    no_images,
    readable,
)
from models.datasets.uploads import PREVIEW
from models.files import locked, sync_folder
from models.settings import available_cores
from worker.data import builtin
from worker.data.contact_sheet import draw
from worker.data.decode import Unusable, decode, fit
from worker.data.prepared import DataProblem, Prepared, Skipped, Writer, read, read_manifest

_VERSION: Final = 1  # raise it when the same files would give other pixels: sets are then prepared anew
_CHUNK: Final = 256  # images decoded ahead of the writer, which bounds memory
_TOLD: Final = 5  # reasons in an error message

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[np.uint8]
    label: int | None


_Pictures = Generator[_Picture | Skipped, None, None]


class _Source(Protocol):
    """Where a data set's images come from."""

    @property
    def count(self) -> int:
        """Images to look at: usable or not."""

    @property
    def classes(self) -> Sequence[str]:
        """Class names that labels point into."""

    def identity(self) -> str:
        """Give a text that changes whenever the images do."""

    def pictures(self, size: int, channels: int, scratch: Path) -> _Pictures:
        """Read every image, in order, as uint8 `[channels, size, size]`."""


def prepare(
    dataset: str,
    size: int,
    channels: int,
    *,
    datasets_dir: Path,
    images_dir: Path,
    prepared_dir: Path,
    on_progress: Progress | None = None,
) -> Prepared:
    """Give a data set as uint8 images of `channels` x `size` x `size` px, preparing it first if need be.

    A folder is prepared anew when a name, size or modification time in it has changed; what was prepared of its earlier
    state is then removed. `on_progress` gets the images done and to do; an exception from it ends the preparation.

    Raises:
        DataProblem: the data set is unknown, unreadable, holds no usable image, or there is no room for it.
    """
    try:
        source = _source(dataset, datasets_dir, images_dir)
        key = f"{_slug(dataset)}-{size}-{channels}"
        target = prepared_dir / f"{key}-{_fingerprint(dataset, source)}"
        prepared_dir.mkdir(parents=True, exist_ok=True)
        with locked(prepared_dir / f".{key}.lock"):  # it stays: removing it would let two hold it at once
            ready = read(target)
            if ready is None:
                _make(source, target, dataset, size, channels, on_progress or _ignore)
                _remove_superseded(target, key, dataset)
                ready = read(target)
            if ready is not None and not (target / PREVIEW).exists():
                draw(target, ready.manifest)
    except DatasetProblem as problem:
        raise DataProblem(str(problem)) from problem
    except OSError as error:
        raise DataProblem(f'"{dataset}" could not be prepared in {prepared_dir}: {error}') from error
    if ready is None:
        raise DataProblem(
            f'"{dataset}" was prepared in {target} but cannot be read there: is something removing files?'
        )
    return ready


def _ignore(done: int, total: int) -> None:
    pass


def _source(dataset: str, datasets_dir: Path, images_dir: Path) -> _Source:
    if dataset in BUILTIN:
        return _Builtin(BUILTIN[dataset], datasets_dir)
    return _Folder(dataset, find_folder(dataset, images_dir))


def _slug(dataset: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")[:48]


def _fingerprint(dataset: str, source: _Source) -> str:
    identity = f"{_VERSION}\n{dataset}\n{source.identity()}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _make(source: _Source, target: Path, dataset: str, size: int, channels: int, on_progress: Progress) -> None:
    """Write the prepared set beside its place and rename it there; under the lock, so leftovers are a dead one's."""
    _check_room(source.count * channels * size * size, target.parent, dataset)
    key = target.name.rpartition("-")[0]
    staging, scratch = (target.with_name(f".{key}.{use}") for use in ("staging", "scratch"))
    for folder in (staging, scratch, target):
        if folder.exists():
            shutil.rmtree(folder)
    try:
        staging.mkdir()
        scratch.mkdir()
        _write(source, staging, scratch, dataset, size, channels, on_progress)
        sync_folder(staging)
        staging.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _write(
    source: _Source, staging: Path, scratch: Path, dataset: str, size: int, channels: int, on_progress: Progress
) -> None:
    skipped: list[Skipped] = []
    pictures = source.pictures(size, channels, scratch)
    with Writer(staging, dataset, size, channels) as writer, closing(pictures):
        for done, picture in enumerate(pictures, start=1):
            if isinstance(picture, Skipped):
                skipped.append(picture)
            else:
                writer.append(picture.pixels, picture.label)
            if done % _CHUNK == 0 or done == source.count:
                on_progress(done, source.count)
        if writer.count == 0:
            raise DataProblem(_nothing_usable(dataset, skipped))
        writer.finish(source.classes, skipped)


def _nothing_usable(dataset: str, skipped: Sequence[Skipped]) -> str:
    reasons = "; ".join(str(image) for image in skipped[:_TOLD])
    more = f"; and {len(skipped) - _TOLD:,} more" if len(skipped) > _TOLD else ""
    return f'"{dataset}" holds no usable image: {reasons}{more}'


def _check_room(needed: int, folder: Path, dataset: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataProblem(
            f'"{dataset}" needs {needed / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free: make room, or '
            f"put ATELIER_DATA_DIR on a larger disk"
        )


def _remove_superseded(target: Path, key: str, dataset: str) -> None:
    """Remove what was prepared of earlier states of a folder; a process that has one mapped keeps it."""
    for other in target.parent.glob(f"{key}-*"):
        manifest = read_manifest(other)
        if other != target and manifest is not None and manifest.dataset == dataset:
            shutil.rmtree(other)


class _Builtin:
    """A built-in set: its pixels as published where size and channels are the same."""

    def __init__(self, dataset: BuiltinDataset, datasets_dir: Path) -> None:
        self._dataset = dataset
        self._datasets_dir = datasets_dir
        self.count = dataset.count
        self.classes = dataset.classes

    def identity(self) -> str:
        return ""  # published once and for all

    def pictures(self, size: int, channels: int, scratch: Path) -> _Pictures:
        images, labels = builtin.load(self._dataset, self._datasets_dir, scratch)
        for index, image in enumerate(images):
            label = None if labels is None else int(labels[index])
            yield _Picture(fit(Image.fromarray(image), size, channels), label)


class _Folder:
    """A folder of images. Where each lies in a subfolder, the subfolders are the classes, at any depth below them."""

    def __init__(self, dataset: str, folder: Path) -> None:
        self._files = list(image_files(folder))
        if not self._files:
            raise no_images(dataset, folder)
        self._root, names = class_folders(self._files)
        index = {name: label for label, name in enumerate(names)}
        self._labels = [index.get(file.relative_to(self._root).parts[0]) for file in self._files]
        self.count = len(self._files)
        self.classes = [readable(name) for name in names]

    def identity(self) -> str:
        stats = ((file.relative_to(self._root), file.stat()) for file in self._files)
        return "\n".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in stats)

    def pictures(self, size: int, channels: int, scratch: Path) -> _Pictures:  # noqa: ARG002
        read_one = partial(self._read, size=size, channels=channels)
        with ThreadPoolExecutor(min(4, available_cores())) as pool:
            for start in range(0, self.count, _CHUNK):
                part = slice(start, start + _CHUNK)
                yield from pool.map(read_one, self._files[part], self._labels[part])

    def _read(self, file: Path, label: int | None, *, size: int, channels: int) -> _Picture | Skipped:
        try:
            return _Picture(decode(file, size, channels), label)
        except Unusable as reason:
            return Skipped(readable(str(file.relative_to(self._root))), str(reason))
