"""Whether mirroring does harm: digits are told from their mirror images, symmetrical textures are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worker.data.mirroring import judge
from worker.data.prepared import Prepared, PreparedManifest


def of(images: np.ndarray) -> Prepared:
    count, channels, side, _ = images.shape
    manifest = PreparedManifest(
        dataset="some", size=side, channels=channels, count=count, classes=(), skipped=(), sha256={}
    )
    return Prepared(Path(), manifest, images, None)


def test_digits_are_not_mirrored(digits: Prepared) -> None:
    found = judge(digits)
    assert not found.harmless
    assert str(found).startswith("images are not mirrored: a linear classifier tells 9")


def test_images_that_face_both_ways_are_mirrored() -> None:
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (600, 3, 8, 8), np.uint8).repeat(4, 2).repeat(4, 3)
    found = judge(of(texture))
    assert found.harmless
    assert 0.4 < found.accuracy < 0.6
    assert str(found).startswith("each image is shown mirrored too")


def test_symmetrical_images_are_mirrored_and_change_nothing() -> None:
    half = np.random.default_rng(0).integers(0, 256, (200, 1, 28, 14), np.uint8)
    assert judge(of(np.concatenate((half, half[..., ::-1]), 3))).accuracy == pytest.approx(0.5)


def test_light_from_one_side_is_seen() -> None:
    random = np.random.default_rng(0)
    lit = random.integers(0, 156, (400, 3, 32, 32)) + np.linspace(0, 99, 32).astype(int)
    assert not judge(of(lit.astype(np.uint8))).harmless


def test_too_few_images_are_left_as_they_are(digits: Prepared) -> None:
    few = replace(digits, images=digits.images[:50], manifest=digits.manifest.model_copy(update={"count": 50}))
    assert not judge(few).harmless
    assert "fewer than 100" in str(judge(few))
