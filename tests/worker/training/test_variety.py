from __future__ import annotations

import numpy as np
import pytest

from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.training.guard.diversity import Variety, spread
from worker.training.reporting.real_images import choose


def flat(*values: int) -> Pixels:
    """Give images of 16 px, each of one grey."""
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), 16, 16, 1))


def real(prepared: Prepared, classes: int) -> Pixels:
    """Give the real images that a grid's are compared with."""
    return np.ascontiguousarray(prepared.images[choose(prepared, classes)].transpose(0, 2, 3, 1))


def test_spread_is_the_mean_distance_over_pairs() -> None:
    assert spread(flat(0, 10, 40)) == pytest.approx((10 + 30 + 40) / 3)
    assert spread(flat(7, 7, 7)) == 0
    assert spread(flat(7)) == 0


def test_pairs_count_within_a_class_only_where_there_are_classes() -> None:
    labels = np.array([0, 1, 0, 1])
    assert spread(flat(0, 100, 10, 130), labels) == pytest.approx((10 + 30) / 2)
    assert spread(flat(0, 100), np.array([0, 1])) == 0


@pytest.mark.parametrize("classes", [0, 10])
def test_real_images_are_as_diverse_as_real_images(digits: Prepared, classes: int) -> None:
    assert Variety(digits, classes).of(real(digits, classes)) == pytest.approx(1)


def test_one_image_for_each_class_is_a_collapse(digits: Prepared) -> None:
    first_of_each = np.repeat(real(digits, 10)[::8], 8, axis=0)
    assert Variety(digits, 10).of(first_of_each) == 0
    assert Variety(digits, 0).of(first_of_each[:64]) == pytest.approx(1, abs=0.3)
