from __future__ import annotations

import numpy as np
import pytest
import torch

from models.networks import build_generator
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation.metrics import MAX_ROWS, kernel_distance
from worker.evaluation.samples import BATCH, GeneratorSampler, conditioning_labels, split_images

CPU = torch.device("cpu")
CLASSES = 10


@pytest.mark.parametrize("count", [3_000, 60_000])
def test_a_set_in_the_order_of_its_classes_is_judged_as_a_shuffled_one(count: int) -> None:
    labels = np.arange(count) * CLASSES // count
    random = np.random.default_rng(0)
    points = torch.from_numpy(np.eye(CLASSES)[labels] * 5 + random.normal(0, 0.1, (count, CLASSES)))
    perfect = points[torch.from_numpy(random.permutation(count)[:2_000])]
    chosen = points[torch.from_numpy(split_images(count, 2_000).reference)]
    assert abs(kernel_distance(perfect, chosen).mean) < 0.05
    first = split_images(count, 10_000).reference[:MAX_ROWS]
    assert np.unique(labels[first]).size == CLASSES


@pytest.mark.parametrize(
    ("count", "reference", "baseline"), [(11, 11, 5), (3_000, 2_000, 1_500), (9_000, 2_000, 2_000)]
)
def test_a_small_set_is_compared_with_as_a_whole_and_its_baseline_by_halves(
    count: int, reference: int, baseline: int
) -> None:
    found = split_images(count, 2_000)
    left, right = found.baseline
    assert len(np.unique(found.reference)) == reference
    assert len(left) == len(right) == baseline
    assert not set(left) & set(right)
    assert (found.reference is left) == (reference == baseline)


def test_samples_are_the_same_each_time_and_leave_random_states_alone() -> None:
    config = tiny().generator_config()
    generator = build_generator(config).eval()
    before = torch.get_rng_state()
    first, again = (torch.cat(list(GeneratorSampler(config, BATCH + 7, CPU).generate(generator))) for _ in range(2))
    assert first.shape == (BATCH + 7, 1, 28, 28)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_conditional_samples_ask_for_classes_as_often_as_they_occur(digits: Prepared) -> None:
    assert digits.labels is not None
    assert np.array_equal(np.bincount(conditioning_labels(digits, 12_000)), 2 * np.bincount(digits.labels))
