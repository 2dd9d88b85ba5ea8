from __future__ import annotations

import numpy as np
import pytest
import torch

from models import pictures
from models.networks import build_generator
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation.samples import BATCH, Sampler, conditions, split, to_pixels

CPU = torch.device("cpu")


@pytest.mark.parametrize(("count", "each"), [(60_000, 2000), (3000, 1500), (5, 2)])
def test_choices_are_disjoint_and_as_large_as_the_set_allows(count: int, each: int) -> None:
    reference, control = split(count, 2000)
    assert (len(reference), len(control)) == (each, each)
    assert not set(reference) & set(control)


def test_pixels_are_rounded_as_sampling_rounds_them() -> None:
    images = torch.linspace(-1.5, 1.5, 4096).view(1, 1, 64, 64)
    expected = pictures.to_uint8(images.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(to_pixels(images).permute(0, 2, 3, 1).numpy(), expected)


def test_samples_are_the_same_each_time_and_leave_random_states_alone() -> None:
    config = tiny().generator_config()
    generator = build_generator(config).eval()
    before = torch.get_rng_state()
    first, again = (torch.cat(list(Sampler(config, BATCH + 7, CPU).draw(generator))) for _ in range(2))
    assert first.shape == (BATCH + 7, 1, 28, 28)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_conditional_samples_ask_for_classes_as_often_as_they_occur(digits: Prepared) -> None:
    assert digits.labels is not None
    assert np.array_equal(np.bincount(conditions(digits, 12_000)), 2 * np.bincount(digits.labels))
