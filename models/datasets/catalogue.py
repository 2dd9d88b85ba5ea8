"""Names of data sets: the built-in ones with their properties, and `folder:PATH` below the images directory.

Only file names are read here; `worker.data` decodes the images.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from models.config.values import Frozen, Name

FOLDER: Final = "folder:"
IMAGE_SUFFIXES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_MNIST_CREDIT = "CC BY-SA 3.0, Y. LeCun, C. Cortes, C. J. C. Burges"


class DatasetProblem(ValueError):
    """A data set that cannot be used; the message says which, where and what to do."""


class UnknownDataset(DatasetProblem):
    """A name that is neither built in nor a `folder:PATH`."""


class BuiltinDataset(Frozen):
    """The training split of a built-in data set, `size` x `size` px.

    `counts` are the images of each class, or of a set without labels all of them; `folder` is torchvision's, below the
    data sets directory; None: the files ship with Atelier.
    """

    name: Name
    title: str
    size: int
    channels: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    licence: str
    source: str
    folder: str | None

    @property
    def count(self) -> int:
        return sum(self.counts)

    def is_available(self, datasets_dir: Path) -> bool:
        """Whether it can be used without a download."""
        if self.folder is None:
            return True
        images = datasets_dir / self.folder / "train-images-idx3-ubyte"
        return images.exists() or images.with_name(images.name + ".gz").exists()


def _known(*datasets: BuiltinDataset) -> dict[str, BuiltinDataset]:
    return {dataset.name: dataset for dataset in datasets}


BUILTIN: Final = _known(
    BuiltinDataset(
        name="mnist",
        title="MNIST: handwritten digits",
        size=28,
        channels=1,
        classes=_DIGITS,
        counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        licence=_MNIST_CREDIT,
        source="http://yann.lecun.com/exdb/mnist/",
        folder="mnist/MNIST/raw",
    ),
    BuiltinDataset(
        name="fashion-mnist",
        title="Fashion-MNIST: articles of clothing",
        size=28,
        channels=1,
        classes=_CLOTHES,
        counts=(6000,) * 10,
        licence="MIT, Zalando SE",
        source="https://github.com/zalandoresearch/fashion-mnist",
        folder="fashion-mnist/FashionMNIST/raw",
    ),
    BuiltinDataset(
        name="mnist-mini",
        title="MNIST mini: 600 handwritten digits of each class, shipped with Atelier",
        size=28,
        channels=1,
        classes=_DIGITS,
        counts=(600,) * 10,
        licence=_MNIST_CREDIT,
        source="http://yann.lecun.com/exdb/mnist/",
        folder=None,
    ),
    BuiltinDataset(
        name="stacked-mnist",
        title="Stacked MNIST: three digits as red, green and blue, 1,000 combinations",
        size=28,
        channels=3,
        classes=(),
        counts=(60_000,),
        licence=_MNIST_CREDIT,
        source="http://yann.lecun.com/exdb/mnist/",
        folder="mnist/MNIST/raw",
    ),
)


def is_uploaded(dataset: str) -> bool:
    """Whether a name, if it belongs to any data set, belongs to an uploaded one."""
    return dataset not in BUILTIN and not dataset.startswith(FOLDER)


def class_folders(files: Sequence[Path]) -> tuple[Path, list[str]]:
    """Find the class folders of image files.

    Returns:
        The folder that all files share, and the names of its subfolders if each file lies in one, at any depth.
    """
    if not files:
        return Path(), []
    root = Path(os.path.commonpath([file.parent for file in files]))
    parts = [file.relative_to(root).parts for file in files]
    return root, sorted({part[0] for part in parts}) if all(len(part) > 1 for part in parts) else []


def display_name(name: str) -> str:
    """Make a file name that is not valid UTF-8 fit for messages and JSON."""
    return os.fsencode(name).decode("utf-8", "replace")


def no_images(dataset: str, folder: Path) -> DatasetProblem:
    known = " ".join(sorted(IMAGE_SUFFIXES))
    return DatasetProblem(f'"{dataset}": there is no image file in {folder}: put some there (known endings: {known})')


def find_folder(dataset: str, images_dir: Path) -> Path:
    """Return the folder that `folder:PATH` names, inside `images_dir`, with links resolved.

    Raises:
        UnknownDataset: `dataset` is not a `folder:PATH`.
        DatasetProblem: the folder leaves `images_dir` or does not exist.
    """
    if not dataset.startswith(FOLDER):
        raise UnknownDataset(
            f'unknown data set "{dataset}": known are {", ".join(BUILTIN)}, and {FOLDER}PATH for a folder of images '
            f"below {images_dir}"
        )
    path = dataset.removeprefix(FOLDER)
    _check_relative(dataset, path, images_dir)
    try:
        root = images_dir.resolve()
        folder = (images_dir / path).resolve()
        inside, exists = folder.is_relative_to(root), folder.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # too long, not encodable, circular links
        raise DatasetProblem(f"{dataset!r}: this is no usable path below {images_dir}: {error}") from error
    if not inside:
        raise DatasetProblem(f'"{dataset}": the folder is a link out of {images_dir}: copy the images there instead')
    if not exists:
        raise DatasetProblem(f'"{dataset}": there is no folder {images_dir / path}: create it and put images there')
    return folder


def _check_relative(dataset: str, path: str, images_dir: Path) -> None:
    if not path.strip():
        raise DatasetProblem(f'"{dataset}": name a folder below {images_dir}, such as {FOLDER}cats')
    if "\0" in path:
        raise DatasetProblem(f"{dataset!r}: a path cannot hold a NUL character")
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor or ".." in PurePosixPath(path).parts:
        raise DatasetProblem(
            f'"{dataset}": the path has to stay below {images_dir}: leave out ".." and the leading "/"'
        )


def image_files(folder: Path) -> Iterator[Path]:
    """List the image files below `folder`, by their suffixes, in a fixed order; hidden ones and links are left out.

    Raises:
        DatasetProblem: a folder could not be read.
    """
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetProblem(f"{folder}: this folder cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from image_files(Path(entry.path))
        elif entry.is_file() and Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
            yield Path(entry.path)
