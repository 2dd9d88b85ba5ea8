"""The proposal and the findings across a set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.datasets.uploads import Crop
from worker.data.decode import ImageHeader
from worker.data.perceptual_hash import difference_hash, first_near_duplicates
from worker.data.validation import ImageRecord, list_findings, propose_preparation


@pytest.mark.parametrize(
    ("shapes", "size", "crop"),
    [
        ([], 28, "centre"),
        ([(28, 28)] * 9, 28, "centre"),
        ([(500, 400)] * 9, 128, "centre"),
        ([(100, 70)] * 9, 64, "centre"),
        ([(500, 400)] * 99 + [(20, 20)], 128, "centre"),
        ([(500, 400)] * 8 + [(40, 40)] * 2, 32, "centre"),
        ([(1000, 400)] * 9, 128, "whole"),
        ([(400, 1000)] * 5 + [(400, 400)] * 4, 128, "whole"),
    ],
)
def test_size_fits_most_images_and_crop_their_shape(shapes: list[tuple[int, int]], size: int, crop: Crop) -> None:
    proposal = propose_preparation([ImageHeader(width, height, False) for width, height in shapes])
    assert (proposal.size, proposal.crop) == (size, crop)


def record(name: str, **changes: Any) -> ImageRecord:
    plain = ImageRecord(name, None, None, None, 40, 40, (), name, None, False)
    return plain._replace(**changes)


def test_rare_classes_are_named() -> None:
    records = [record(f"{n}", label=0) for n in range(30)] + [record(f"r{n}", label=1) for n in range(3)]
    (finding,) = list_findings(records, ["common", "rare"], [], [])
    assert (finding.kind, finding.file) == ("imbalance", None)
    assert "30 images, rare at most a tenth" in finding.message


def test_balanced_classes_are_no_finding() -> None:
    records = [record(f"{n}", label=n % 2) for n in range(40)]
    assert list_findings(records, ["a", "b"], [], []) == []


def test_grey_is_a_finding_of_the_few_not_of_the_many() -> None:
    few = [record("a", grey=True), *(record(f"{n}") for n in range(5))]
    assert [finding.file for finding in list_findings(few, [], [], [])] == ["a"]
    assert list_findings([record(f"{n}", grey=True) for n in range(5)], [], [], []) == []


def test_near_duplicates_are_those_within_three_bits() -> None:
    value = 0x0123_4567_89AB_CDEF
    hashes = [value, value ^ 0b111, value ^ (1 << 60 | 1 << 30 | 1), value ^ 0b1111, ~value & (1 << 64) - 1, value]
    assert first_near_duplicates(np.array(hashes, np.uint64)).tolist() == [0, 0, 0, 1, 4, 0]


def test_near_duplicates_agree_with_comparing_all() -> None:
    generator = np.random.default_rng(0)
    bases = generator.integers(0, 1 << 63, 40, np.uint64)
    hashes = np.array([generator.choice(bases) ^ np.uint64(1 << int(generator.integers(64))) for _ in range(400)])
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 3
    assert first_near_duplicates(hashes).tolist() == near.argmax(axis=1).tolist()


def test_hash_survives_enlargement_and_brightness() -> None:
    image = Image.effect_noise((9, 8), 90).resize((64, 64), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)[None]
    brighter = np.clip(pixels.astype(int) + 12, 0, 255).astype(np.uint8)
    larger = np.asarray(image.resize((128, 128)))[None]
    hashes = [difference_hash(p) for p in (pixels, brighter, larger)]
    assert None not in hashes
    assert first_near_duplicates(np.array(hashes, np.uint64)).tolist() == [0, 0, 0]


def test_image_of_one_colour_has_no_hash() -> None:
    assert difference_hash(np.full((3, 32, 32), 7, np.uint8)) is None
