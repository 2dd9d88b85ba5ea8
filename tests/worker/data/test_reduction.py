"""Prepared sets at a smaller size: antialiased, written once, with the labels and classes of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.folders import Folders
from worker.data.prepared import Prepared
from worker.data.reduction import reduced


@pytest.fixture
def large(folders: Folders) -> Prepared:
    for number in range(4):
        folders.picture(f"{'ab'[number % 2]}/{number}.png", size=(64, 64), color=(60 * number, 10, 200))
    return folders.prepare("folder:.", 64, 3)


def test_images_are_averaged_and_keep_their_labels(large: Prepared, tmp_path: Path) -> None:
    large.images[0] = np.indices((64, 64)).sum(0) % 2 * 255  # pixels like a chess board
    small = reduced(large, 32, tmp_path)
    assert small.images.shape == (4, 3, 32, 32)
    assert small.classes == large.classes
    assert small.labels is not None
    assert large.labels is not None
    assert small.labels.tolist() == large.labels.tolist()
    assert np.abs(small.images[0].astype(int) - 127).max() <= 16
    assert (small.images[1:] == large.images[1:, :, :1, :1]).all()


def test_a_reduced_set_is_written_once(large: Prepared, tmp_path: Path) -> None:
    first = reduced(large, 32, tmp_path)
    written = (first.path / "images.u8").stat().st_mtime_ns
    again = reduced(large, 32, tmp_path)
    assert (again.path, (again.path / "images.u8").stat().st_mtime_ns) == (first.path, written)
    (first.path / "images.u8").write_bytes(b"cut off")
    assert reduced(large, 32, tmp_path).images.shape == (4, 3, 32, 32)


def test_the_size_that_it_has_needs_no_copy(large: Prepared, tmp_path: Path) -> None:
    assert reduced(large, 64, tmp_path) is large
    assert not list(tmp_path.glob("reduced-*"))
