from __future__ import annotations

import io

import numpy as np
from PIL import Image

from worker.data.prepared import Prepared
from worker.evaluation import neighbours
from worker.evaluation.neighbours import nearest, picture


def test_the_nearest_image_is_found_in_every_part_of_the_data(digits: Prepared) -> None:
    chosen = np.array([5, 2047, 2048, 5999])
    noise = np.random.default_rng(0).integers(0, 3, (4, 28, 28, 1))
    images = np.clip(digits.images[chosen].transpose(0, 2, 3, 1).astype(int) + noise, 0, 255).astype(np.uint8)
    assert nearest(images, digits).tolist() == chosen.tolist()


def test_the_picture_shows_each_image_beside_its_nearest(digits: Prepared) -> None:
    images = digits.images[:40].transpose(0, 2, 3, 1)
    with Image.open(io.BytesIO(picture(images, digits))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 + 4 * 30, 2 + 8 * 30)
    assert neighbours.SHOWN == 16
    assert np.array_equal(pixels[2:30, 2:30], pixels[2:30, 32:60])
    assert np.array_equal(pixels[2:30, 2:30], images[0, ..., 0])
