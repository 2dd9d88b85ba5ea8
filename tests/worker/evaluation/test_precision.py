from __future__ import annotations

import pytest
import torch

from worker.evaluation.precision_recall import COUNT, agreement, balls


def drawn(count: int, seed: int, shift: float = 0) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) + shift


def test_two_halves_of_a_set_agree() -> None:
    found = agreement(balls(drawn(500, 0)), balls(drawn(500, 1)))
    assert min(found.precision, found.recall, found.coverage) > 0.85
    assert found.density == pytest.approx(1, abs=0.15)


def test_sets_apart_share_nothing() -> None:
    assert agreement(balls(drawn(100, 0)), balls(drawn(100, 1, shift=50))) == (0, 0, 0, 0)


def test_a_generator_of_one_good_image_is_precise_and_recalls_little() -> None:
    real = drawn(500, 0)
    found = agreement(balls(real), balls(real[:1] + 1e-3 * drawn(500, 1)))
    assert found.precision == 1
    assert found.recall < 0.05
    assert found.coverage < 0.1


def test_a_point_is_inside_the_ball_of_its_third_neighbour() -> None:
    line = torch.tensor([0.0, 1, 2, 3, 4, 5, 6])[:, None]
    around = balls(line)
    assert around.radii.tolist() == [3, 2, 2, 2, 2, 2, 3]
    assert around.dense_radii.tolist() == [5, 4, 3, 3, 3, 4, 5]


def test_no_more_than_2000_images_are_compared() -> None:
    assert len(balls(drawn(COUNT + 10, 0)).features) == COUNT


def test_density_is_told_by_the_neighbours_that_there_are() -> None:
    rows = torch.tensor([[0.0], [1.0], [2.0]])
    assert agreement(balls(rows), balls(rows + 0.01)).density == pytest.approx(7 / (2 * 3))
