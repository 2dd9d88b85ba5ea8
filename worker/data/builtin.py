"""Built-in data sets: the training splits, `mnist-mini` from the package, the others through torchvision."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import struct
import urllib.request
import zlib
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from models.datasets.catalogue import BuiltinDataset, DatasetProblem

_TIMEOUT_SECONDS: Final = 30.0
# Errors of torchvision for a failed download or damaged files; other OSErrors are about this machine's disk.
_UNREADABLE: Final = (
    *(URLError, HTTPException, TimeoutError, ConnectionError, RuntimeError),
    *(ValueError, AssertionError, LookupError, EOFError, gzip.BadGzipFile, zlib.error),
)
_log = logging.getLogger(__name__)

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
_STACKING: Final = 0x57AC  # Philox key of the permutations by which digits are stacked


def load(
    dataset: BuiltinDataset, datasets_dir: Path, scratch: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Read a built-in set: images uint8 `[N, H, W]` and labels int64 `[N]`, in the published order.

    Stacked ones are `[N, H, W, 3]`, without labels. `scratch` is an empty folder to unpack in; files in `datasets_dir`
    are only read, and downloaded ones added.

    Raises:
        DatasetProblem: the files are missing and cannot be downloaded, or are damaged.
    """
    if dataset.folder is None:
        return _load_shipped()
    if dataset.name == "stacked-mnist":
        return stacked(_load_by_torchvision(dataset, datasets_dir / dataset.folder, scratch)[0]), None
    return _load_by_torchvision(dataset, datasets_dir / dataset.folder, scratch)


def _load_shipped() -> Arrays:
    folder = files("worker.data") / "mnist_mini"
    images = read_idx(gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes()))
    labels = read_idx(gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes()))
    return images, labels.astype(np.int64)


def stacked(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stack images `[N, H, W]` by threes, as red, green and blue: `[N, H, W, 3]`, always the same.

    Each colour is a permutation of all images: the sorting order of Philox4x64-10 words.
    """
    orders = [
        np.argsort(
            np.random.Philox(key=np.array([_STACKING, colour], np.uint64)).random_raw(len(images)), kind="stable"
        )
        for colour in range(3)
    ]
    return np.stack([images[order] for order in orders], axis=-1)


def read_idx(data: bytes) -> NDArray[np.uint8]:
    """Read an IDX file of bytes: two zeros, type 8, the number of axes, their lengths, big-endian, then the values.

    Raises:
        ValueError: the header is of another type, or does not agree with the length.
    """
    if data[:3] != b"\0\0\x08":
        raise ValueError("not an IDX file of unsigned bytes")
    axes = data[3]
    shape = struct.unpack_from(f">{axes}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _load_by_torchvision(dataset: BuiltinDataset, raw: Path, scratch: Path) -> Arrays:
    """Read a set through torchvision: images uint8 `[N, H, W]` and labels int64 `[N]`."""
    # From copies: torchvision unpacks beside the originals, which may be read-only.
    from torchvision import datasets  # takes seconds to import; folders and mnist-mini do not need it

    reader: Any = datasets.FashionMNIST if dataset.name == "fashion-mnist" else datasets.MNIST
    work = scratch / reader.__name__ / "raw"
    work.mkdir(parents=True)
    packed = [name for name, _ in reader.resources]
    names = [*packed, *(name.removesuffix(".gz") for name in packed)]
    for name in names:
        if (raw / name).is_file():
            shutil.copyfile(raw / name, work / name)
    _set_download_timeout()
    try:
        data = reader(scratch, train=True, download=True)
    except _UNREADABLE as error:
        raise DatasetProblem(
            f'"{dataset.name}": no usable files in {raw}, and downloading them failed. Put {", ".join(packed)} there '
            f"(from {dataset.source}), or use mnist-mini, which needs no download. What happened: {error}"
        ) from error
    _keep_downloads(work, raw, packed)
    return data.data.numpy(), data.targets.numpy().astype(np.int64)


class _TimeoutHandler(urllib.request.BaseHandler):
    """Sets a time-out for torchvision's downloads."""

    # A silent server would block torchvision's downloads for ever.
    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        request.timeout = _TIMEOUT_SECONDS
        return request

    https_request = http_request


def _set_download_timeout() -> None:
    urllib.request.install_opener(urllib.request.build_opener(_TimeoutHandler()))


def _keep_downloads(work: Path, raw: Path, packed: list[str]) -> None:
    """Copy downloaded files to the data sets folder, for other sizes and installations."""
    # The folder may be read-only: the next size then downloads again.
    missing = [name for name in packed if not (raw / name).exists() and not (raw / name.removesuffix(".gz")).exists()]
    try:
        for name in missing:
            raw.mkdir(parents=True, exist_ok=True)
            part = raw / f".{name}.{os.getpid()}.part"
            shutil.copyfile(work / name, part)
            part.replace(raw / name)
    except OSError as error:
        _log.warning("%s could not be kept in %s: the next size downloads it again (%s)", missing, raw, error)
