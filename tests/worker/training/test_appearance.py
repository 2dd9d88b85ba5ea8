from __future__ import annotations

import numpy as np
import pytest

from models.pictures import Pixels
from worker.data.prepared import Prepared
from worker.training.guard.appearance import Appearance, SnapshotAppearance
from worker.training.guard.findings import Rules
from worker.training.guard.looks import COPIED, Look, look
from worker.training.reporting.snapshots import choose_real


def real(prepared: Prepared, classes: int) -> Pixels:
    """Return the real images that a grid's are compared with."""
    return np.ascontiguousarray(prepared.images[choose_real(prepared, classes)].transpose(0, 2, 3, 1))


@pytest.mark.parametrize("classes", [0, 10])
def test_real_images_are_as_diverse_as_real_images(digits: Prepared, classes: int) -> None:
    assert SnapshotAppearance(digits, classes).measure(real(digits, classes)).diversity == pytest.approx(1)


def test_one_image_for_each_class_is_a_collapse(digits: Prepared) -> None:
    first_of_each = np.repeat(real(digits, 10)[::8], 8, axis=0)
    assert SnapshotAppearance(digits, 10).measure(first_of_each).diversity == 0
    assert SnapshotAppearance(digits, 0).measure(first_of_each[:64]).diversity == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_of_training_images_are_no_new_ones(digits: Prepared, mirrored: bool) -> None:
    copies = real(digits, 0)
    seen = SnapshotAppearance(digits, 0).measure(np.ascontiguousarray(copies[:, :, ::-1]) if mirrored else copies)
    assert seen.novelty == pytest.approx(0, abs=0.01)
    assert [each.kind for each in look_at(seen)] == ["memorised"]


def test_blends_of_training_images_are_new(digits: Prepared) -> None:
    copies = real(digits, 0)
    blends = ((copies.astype(np.float64) + np.roll(copies, 1, 0)) / 2).astype(np.uint8)
    novelty = SnapshotAppearance(digits, 0).measure(blends).novelty
    assert novelty is not None
    assert novelty > COPIED


def look_at(seen: Appearance) -> tuple[Look, ...]:
    rules = Rules(acts=True, total=1000, young=50, parameters=1)
    return look(200, seen, {}, rules=rules)
