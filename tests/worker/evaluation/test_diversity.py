from __future__ import annotations

import numpy as np
import pytest
import torch

from models.pictures import Pixels
from worker.evaluation.diversity import nearest_neighbour_diversity, pairwise_diversity


def flat(*values: int) -> Pixels:
    """Return images of 16 px, each of one grey."""
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), 16, 16, 1))


def test_nearest_neighbour_diversity_is_the_mean_distance_to_the_nearest_other_image() -> None:
    values = torch.tensor([0.0, 1.0, 3.0])[:, None, None, None].expand(3, 1, 2, 2)
    assert nearest_neighbour_diversity(values) == pytest.approx((1 + 1 + 2) / 3)


def test_images_that_come_twice_have_no_nearest_neighbour_diversity() -> None:
    drawn = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert nearest_neighbour_diversity(drawn.repeat(2, 1, 1, 1)) == pytest.approx(0, abs=1e-3)


def test_pairwise_diversity_is_the_mean_distance_over_pairs() -> None:
    assert pairwise_diversity(flat(0, 10, 40)) == pytest.approx((10 + 30 + 40) / 3)
    assert pairwise_diversity(flat(7, 7, 7)) == 0
    assert pairwise_diversity(flat(7)) == 0


def test_pairs_count_within_a_class_only_where_there_are_classes() -> None:
    labels = np.array([0, 1, 0, 1])
    assert pairwise_diversity(flat(0, 100, 10, 130), labels) == pytest.approx((10 + 30) / 2)
    assert pairwise_diversity(flat(0, 100), np.array([0, 1])) == 0


def test_pairwise_diversity_of_images_that_are_not_square() -> None:
    wide = np.repeat(flat(0, 10, 40), 2, axis=2)
    assert pairwise_diversity(wide) == pytest.approx((10 + 30 + 40) / 3)
