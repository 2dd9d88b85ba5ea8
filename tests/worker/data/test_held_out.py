"""Images that are kept from the training: by digest, so that copies and order do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from worker.data.held_out import count_held_out, split
from worker.data.loader import Loader
from worker.data.prepared import Prepared


def of(digits: Prepared, order: np.ndarray) -> Prepared:
    images, labels = digits.images[order], None if digits.labels is None else digits.labels[order]
    return replace(
        digits, images=images, labels=labels, manifest=digits.manifest.model_copy(update={"count": len(order)})
    )


def test_a_tenth_is_kept_and_nothing_of_small_sets(digits: Prepared) -> None:
    kept = count_held_out(digits)
    assert abs(kept - digits.count / 10) <= 5
    assert count_held_out(of(digits, np.arange(500))) == 50
    assert count_held_out(of(digits, np.arange(499))) == 0


def test_an_image_is_on_its_side_whatever_the_order_of_the_set(digits: Prepared) -> None:
    count = count_held_out(digits)
    taught, held_out = split(digits, count)
    assert len(set(taught.tolist()) | set(held_out.tolist())) == digits.count
    assert len(taught) + len(held_out) == digits.count
    order = np.random.default_rng(0).permutation(digits.count)
    other = split(of(digits, order), count)
    assert np.array_equal(digits.images[held_out], digits.images[order][other.held_out])


def test_copies_are_on_one_side(digits: Prepared) -> None:
    doubled = of(digits, np.concatenate((np.arange(1000), np.arange(1000))))
    taught, held_out = split(doubled, count_held_out(doubled))
    assert not set((taught % 1000).tolist()) & set((held_out % 1000).tolist())


def test_batches_hold_none_of_them_and_their_labels_fit(digits: Prepared) -> None:
    taught, held_out = split(digits, count_held_out(digits))
    batches = Loader(digits, 100, 3, "cpu", mirrored=True, taught=taught)
    assert batches.count == len(taught)
    unseen = {digits.images[index].tobytes() for index in held_out}
    known = {digits.images[index].tobytes(): int(digits.labels[index]) for index in taught}  # type: ignore[index]
    seen = 0
    for _ in range(2 * len(taught) // 100):
        images, labels = batches.next()
        assert labels is not None
        for image, label in zip(images.numpy(), labels.tolist(), strict=True):
            for shown in (image, image[..., ::-1]):
                assert shown.tobytes() not in unseen
                if shown.tobytes() in known:
                    assert known[shown.tobytes()] == label
                    seen += 1
    assert seen >= 2 * len(taught) // 100 * 100
