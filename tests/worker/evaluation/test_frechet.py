from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from worker.evaluation.frechet import Moments, distance


def drawn(count: int, seed: int) -> torch.Tensor:
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed + 1)) @ mixing


def by_the_formula(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Take the trace of the matrix's root from its eigenvalues, as the reference implementation of the FID does."""
    covariances = [np.cov(rows, rowvar=False) for rows in (left, right)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    offset = left.mean(0) - right.mean(0)
    return float(offset @ offset + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


def test_it_agrees_with_the_formula() -> None:
    left, right = drawn(300, 0), drawn(200, 7) + 1
    expected = by_the_formula(left.double().numpy(), right.double().numpy())
    assert distance(Moments.of(left), Moments.of(right)) == pytest.approx(expected, rel=1e-9)


def test_in_one_dimension_it_is_the_difference_of_means_and_deviations() -> None:
    left, right = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [11.0]])
    assert distance(Moments.of(left), Moments.of(right)) == pytest.approx(49 + (math.sqrt(18) - math.sqrt(2)) ** 2)


def test_a_set_is_at_no_distance_from_itself_also_where_features_are_constant() -> None:
    left = drawn(50, 3)
    left[:, 2] = 0
    assert distance(Moments.of(left), Moments.of(left)) == pytest.approx(0, abs=1e-9)
