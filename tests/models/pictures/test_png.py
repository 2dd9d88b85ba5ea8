"""PNG by ISA-L: the same pixels, text and bytes whatever the picture, and Pillow's where ISA-L is missing."""

from __future__ import annotations

import importlib
import io
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from models.pictures import Pixels, encode, encoders

TEXT = {"model": "digits", "seed": "7", "title": "цифры"}


def photo(channels: int) -> Pixels:
    y, x = np.mgrid[0:120, 0:160]
    grain = np.random.default_rng(0).integers(0, 4, (120, 160, channels))
    waves = [np.sin(x / (9 + c)) * np.cos(y / (13 - c)) for c in range(channels)]
    return (100 + 90 * np.stack(waves, axis=-1) + grain).astype(np.uint8)


def drawing(channels: int) -> Pixels:
    ground = np.zeros((120, 160, channels), np.uint8)
    ground[30:90:7, 20:140] = np.random.default_rng(0).integers(0, 256, (9, 120, channels))
    return ground


def opened(data: bytes) -> Image.Image:
    Image.open(io.BytesIO(data)).verify()  # every chunk's checksum
    return Image.open(io.BytesIO(data))


def pixels(data: bytes) -> Pixels:
    array = np.asarray(opened(data))
    return array[..., None] if array.ndim == 2 else array


@settings(deadline=None)
@given(st.data(), st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3]))
def test_every_picture_comes_back(data: st.DataObject, height: int, width: int, channels: int) -> None:
    picture = data.draw(arrays(np.uint8, (height, width, channels)))
    assert np.array_equal(pixels(encode(picture, "png")), picture)


def idat(data: bytes) -> bytes:
    start = data.index(b"IDAT")
    return zlib.decompress(data[start + 4 : start + 4 + int.from_bytes(data[start - 4 : start], "big")])


@pytest.mark.parametrize("channels", [1, 3])
def test_photos_are_stored_as_differences_and_drawings_as_they_are(channels: int) -> None:
    none, sub = 0, 1  # PNG specification, 9.2
    assert idat(encode(photo(channels), "png"))[0] == sub
    assert idat(encode(drawing(channels), "png"))[0] == none


def test_a_cut_out_of_a_larger_array_is_written_like_its_copy() -> None:
    part = photo(3)[10:50:2, 5:77:3]
    assert encode(part, "png", TEXT) == encode(part.copy(), "png", TEXT)


def test_threads_get_the_bytes_that_one_gets_alone() -> None:
    pictures = [photo(3), drawing(1), photo(1)] * 10
    alone = [encode(picture, "png", TEXT) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda picture: encode(picture, "png", TEXT), pictures)) == alone


@pytest.fixture
def without_isal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, "isal", None)
        missing.delitem(sys.modules, "models.pictures.png")
        importlib.reload(encoders)
        yield
    importlib.reload(encoders)


def test_pillow_is_used_where_isal_is_missing_and_named_in_etags(without_isal: None) -> None:
    picture = photo(3)
    data = encoders.encode(picture, "png", TEXT)
    assert np.array_equal(pixels(data), picture)
    assert dict(opened(data).info) == TEXT
    assert "png by zlib" in encoders.ENCODER


def test_isal_is_what_ships() -> None:
    assert "png by isal" in encoders.ENCODER
