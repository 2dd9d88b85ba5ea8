"""Preparation of built-in sets and folders: from `mnist` or `folder:cats` to a `worker.data.prepared` folder."""

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

from models.config.values import ImageShape
from models.datasets.catalogue import (
    BUILTIN,
    BuiltinDataset,
    DatasetProblem,
    class_folders,
    display_name,
    find_folder,
    image_files,
    no_images,
)
from models.datasets.uploads import PREVIEW
from models.files import locked, sync_folder
from models.settings import available_cores
from worker.data import builtin
from worker.data.decode import UnusableImage, decode_file, fit
from worker.data.prepared import Prepared, SkippedImage, Writer, draw_pictures, read_manifest, read_prepared

_VERSION: Final = 1  # raise it when the same files would give other pixels: every set is then prepared again
_CHUNK: Final = 256  # images decoded ahead of the writer, which bounds memory
_MAX_REASONS: Final = 5  # in an error message

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Image:
    pixels: NDArray[np.uint8]
    label: int | None


_Images = Generator[_Image | SkippedImage, None, None]


class _Source(Protocol):
    """The origin of a data set's images."""

    @property
    def count(self) -> int:
        """Number of image files, usable or not."""

    @property
    def classes(self) -> Sequence[str]:
        """Class names that labels point into."""

    def identity(self) -> str:
        """Return a text that changes whenever the images do."""

    def images(self, shape: ImageShape, scratch: Path) -> _Images:
        """Read every image, in order, as uint8 `[C, H, W]` of a shape."""


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
    """Open a data set as uint8 images of `channels` x `size` x `size` px, and prepare it first if necessary.

    A folder is prepared again when a name, size or modification time in it has changed; the earlier prepared set is
    then removed. `on_progress` receives the images done and in total; an exception from it ends the preparation.

    Raises:
        DatasetProblem: the data set is unknown, unreadable, holds no usable image, or there is no disk space for it.
    """
    try:
        # A prepared set appears complete or not at all (staging folder, fsync, rename), is made by one process at a
        # time (a file lock, which the kernel releases when its owner dies), and has the same bytes each time (images
        # sorted by name).
        source = _source(dataset, datasets_dir, images_dir)
        key = f"{_slug(dataset)}-{size}-{channels}"
        target = prepared_dir / f"{key}-{_fingerprint(dataset, source)}"
        prepared_dir.mkdir(parents=True, exist_ok=True)
        with locked(prepared_dir / f".{key}.lock"):  # the file stays: if it were removed, two processes could hold it
            ready = read_prepared(target)
            if ready is None:
                _prepare(source, target, dataset, size, channels, on_progress or _ignore)
                _remove_superseded(target, key, dataset)
                ready = read_prepared(target)
            # Sets prepared by older versions have no pictures.
            if ready is not None and not (target / PREVIEW).exists():
                draw_pictures(target, ready.manifest)
    except OSError as error:
        raise DatasetProblem(f'"{dataset}" could not be prepared in {prepared_dir}: {error}') from error
    if ready is None:
        raise DatasetProblem(
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


def _prepare(source: _Source, target: Path, dataset: str, size: int, channels: int, on_progress: Progress) -> None:
    _check_space(source.count * channels * size * size, target.parent, dataset)
    key = target.name.rpartition("-")[0]
    staging, scratch = (target.with_name(f".{key}.{use}") for use in ("staging", "scratch"))
    for folder in (staging, scratch, target):  # under the lock, so leftovers are those of a process that died
        if folder.exists():
            shutil.rmtree(folder)
    try:
        staging.mkdir()
        scratch.mkdir()
        _write(source, staging, scratch, dataset, size, channels, on_progress)
        sync_folder(staging)
        # The rename is atomic: a reader sees a complete set or none.
        staging.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _write(
    source: _Source, staging: Path, scratch: Path, dataset: str, size: int, channels: int, on_progress: Progress
) -> None:
    skipped: list[SkippedImage] = []
    images = source.images(ImageShape(size, size, channels), scratch)
    with Writer(staging, dataset, size, channels) as writer, closing(images):
        for done, image in enumerate(images, start=1):
            if isinstance(image, SkippedImage):
                skipped.append(image)
            else:
                writer.append(image.pixels, image.label)
            if done % _CHUNK == 0 or done == source.count:
                on_progress(done, source.count)
        if writer.count == 0:
            raise DatasetProblem(_nothing_usable(dataset, skipped))
        writer.finish(source.classes, skipped)


def _nothing_usable(dataset: str, skipped: Sequence[SkippedImage]) -> str:
    reasons = "; ".join(str(image) for image in skipped[:_MAX_REASONS])
    more = f"; and {len(skipped) - _MAX_REASONS:,} more" if len(skipped) > _MAX_REASONS else ""
    return f'"{dataset}" holds no usable image: {reasons}{more}'


def _check_space(needed: int, folder: Path, dataset: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetProblem(
            f'"{dataset}" needs {needed / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free: make room, or '
            f"put ATELIER_DATA_DIR on a larger disk"
        )


def _remove_superseded(target: Path, key: str, dataset: str) -> None:
    """Remove the sets prepared from earlier states of a folder."""
    for other in target.parent.glob(f"{key}-*"):
        manifest = read_manifest(other)
        if other != target and manifest is not None and manifest.dataset == dataset:
            # A process that has mapped its file keeps the data until it closes it.
            shutil.rmtree(other)


class _Builtin:
    """A built-in set; its pixels are unchanged if size and channels are those published."""

    def __init__(self, dataset: BuiltinDataset, datasets_dir: Path) -> None:
        self._dataset = dataset
        self._datasets_dir = datasets_dir
        self.count = dataset.count
        self.classes = dataset.classes

    def identity(self) -> str:
        return ""  # it never changes

    def images(self, shape: ImageShape, scratch: Path) -> _Images:
        images, labels = builtin.load(self._dataset, self._datasets_dir, scratch)
        for index, image in enumerate(images):
            label = None if labels is None else int(labels[index])
            yield _Image(fit(Image.fromarray(image), shape), label)


class _Folder:
    """A folder of images. Where each lies in a subfolder, at any depth, the topmost subfolders are the classes."""

    def __init__(self, dataset: str, folder: Path) -> None:
        self._files = list(image_files(folder))
        if not self._files:
            raise no_images(dataset, folder)
        self._root, names = class_folders(self._files)
        index = {name: label for label, name in enumerate(names)}
        self._labels = [index.get(file.relative_to(self._root).parts[0]) for file in self._files]
        self.count = len(self._files)
        self.classes = [display_name(name) for name in names]

    def identity(self) -> str:
        stats = ((file.relative_to(self._root), file.stat()) for file in self._files)
        return "\n".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in stats)

    def images(self, shape: ImageShape, scratch: Path) -> _Images:  # noqa: ARG002
        read_one = partial(self._read, shape=shape)
        with ThreadPoolExecutor(min(4, available_cores())) as pool:
            # In chunks: `map` would submit every file at once and hold what the writer has not taken yet.
            for start in range(0, self.count, _CHUNK):
                part = slice(start, start + _CHUNK)
                yield from pool.map(read_one, self._files[part], self._labels[part])

    def _read(self, file: Path, label: int | None, *, shape: ImageShape) -> _Image | SkippedImage:
        try:
            return _Image(decode_file(file, shape), label)
        except UnusableImage as reason:
            return SkippedImage(display_name(str(file.relative_to(self._root))), str(reason))
