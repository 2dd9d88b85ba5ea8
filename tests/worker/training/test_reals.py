from __future__ import annotations

import io

import numpy as np
from PIL import Image

from worker.data.prepared import Prepared
from worker.training.reporting.snapshots import real_grid


def cells(png: bytes, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (rows * 30 + 2, 8 * 30 + 2)
    return pixels[2:, 2:].reshape(rows, 30, 8, 30).transpose(0, 2, 1, 3)[..., :28, :28].reshape(rows, 8, 28, 28)


def test_images_are_the_data_sets_own_from_all_over_it(digits: Prepared) -> None:
    shown = cells(real_grid(digits, 0), rows=8)
    np.testing.assert_array_equal(shown[0, 0], digits.images[0, 0])
    np.testing.assert_array_equal(shown[7, 7], digits.images[-1, 0])


def test_a_conditional_run_has_a_row_for_each_class(digits: Prepared) -> None:
    assert digits.labels is not None
    shown = cells(real_grid(digits, 10), rows=10)
    for label in range(10):
        own = digits.images[digits.labels == label, 0]
        np.testing.assert_array_equal(shown[label, [0, 7]], own[[0, -1]])
