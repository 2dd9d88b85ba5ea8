import functools
import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import FashionMNIST

from models.datasets.catalogue import DatasetProblem
from tests.fixtures.folders import Folders
from worker.data.builtin import read_idx

RAW = "fashion-mnist/FashionMNIST/raw"
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.arange(5, dtype=np.uint8)


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape) + values.tobytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny Fashion-MNIST, as torchvision expects it from its mirror; the mirror itself is away."""
    folder = tmp_path / "published"
    folder.mkdir()
    contents = (IMAGES, LABELS, IMAGES[:2], LABELS[:2])
    resources = []
    for (name, _), values in zip(FashionMNIST.resources, contents, strict=True):
        data = gzip.compress(idx(values), mtime=0)
        (folder / name).write_bytes(data)
        resources.append((name, hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    return folder


@pytest.fixture
def mirror(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real server with the published files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(published)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    yield
    server.shutdown()
    server.server_close()


def lay_out(published: Path, folders: Folders) -> Path:
    raw = folders.datasets / RAW
    raw.parent.mkdir(parents=True)
    published.rename(raw)
    return raw


def test_idx_is_read_with_its_shape() -> None:
    np.testing.assert_array_equal(read_idx(idx(IMAGES)), IMAGES)


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickled", idx(IMAGES)[:-1], idx(IMAGES) + b"\0"])
def test_damaged_idx_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"IDX|reshape"):
        read_idx(data)


def test_packed_files_are_read_and_nothing_is_unpacked_beside_them(published: Path, folders: Folders) -> None:
    raw = lay_out(published, folders)
    before = sorted(raw.iterdir())
    prepared = folders.prepare("fashion-mnist")
    np.testing.assert_array_equal(prepared.images[:, 0], IMAGES)
    assert prepared.labels is not None
    assert prepared.labels.tolist() == LABELS.tolist()
    assert prepared.classes == ("t-shirt/top", "trouser", "pullover", "dress", "coat")
    assert sorted(raw.iterdir()) == before
    assert folders.listed() == [prepared.path.name]


def test_unpacked_files_are_read(published: Path, folders: Folders) -> None:
    raw = lay_out(published, folders)
    for packed in list(raw.iterdir()):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert folders.prepare("fashion-mnist").count == 5


@pytest.mark.usefixtures("mirror")
def test_missing_files_are_downloaded_and_kept(published: Path, folders: Folders) -> None:
    assert folders.prepare("fashion-mnist").count == 5
    kept = folders.datasets / RAW
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {
        file.name: file.read_bytes() for file in published.iterdir()
    }


@pytest.mark.usefixtures("mirror")
def test_damaged_packed_file_is_downloaded_again(published: Path, folders: Folders) -> None:
    raw = folders.datasets / RAW
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"torn")
    assert folders.prepare("fashion-mnist").count == 5


@pytest.mark.usefixtures("published")
def test_without_files_and_network_the_problem_says_what_to_do(folders: Folders) -> None:
    with pytest.raises(DatasetProblem) as problem:
        folders.prepare("fashion-mnist")
    message = str(problem.value)
    assert str(folders.datasets / RAW) in message
    assert "train-images-idx3-ubyte.gz" in message
    assert "use mnist-mini, which needs no download" in message
    assert folders.listed() == []


def test_damaged_unpacked_file_is_a_problem(published: Path, folders: Folders) -> None:
    raw = lay_out(published, folders)
    for packed in list(raw.iterdir()):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes())[:-3])
        packed.unlink()
    with pytest.raises(DatasetProblem, match="no usable files in"):
        folders.prepare("fashion-mnist")
