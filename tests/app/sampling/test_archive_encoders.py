"""Archives written chunk by chunk."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from app.sampling.encoders.archive import ZipStream, npy_header


@pytest.mark.parametrize("shape", [(1, 28, 28, 1), (4096, 8, 8, 3), (0, 28, 28, 1)])
def test_header_and_bytes_are_what_numpy_reads(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    read = np.load(io.BytesIO(npy_header(shape) + images.tobytes()), allow_pickle=False)
    assert read.dtype == np.uint8
    assert np.array_equal(read, images)


def zip_chunks() -> list[bytes]:
    stream = ZipStream()
    taken = []
    for index in range(5):
        stream.add(f"{index:04d}.bin", bytes([index]) * (index * 1000))
        if index % 2:
            taken.append(stream.take())
    stream.add("index.json", b"{}")
    return [*taken, stream.end()]


def test_a_zip_in_chunks_is_a_whole_zip() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_chunks()))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0000.bin", "0001.bin", "0002.bin", "0003.bin", "0004.bin", "index.json"]
        assert archive.read("0004.bin") == b"\x04" * 4000
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_sizes_stand_before_the_files_so_that_it_can_be_unpacked_as_it_comes() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_chunks()))) as archive:
        has_descriptor = 0x08
        assert not any(entry.flag_bits & has_descriptor for entry in archive.infolist())


def test_the_same_files_give_the_same_bytes() -> None:
    assert zip_chunks() == zip_chunks()
