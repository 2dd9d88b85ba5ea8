from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from worker.evaluation.metrics import (
    KERNEL_BLOCK,
    MAX_ROWS,
    Moments,
    class_shares,
    frechet_distance,
    hyperspheres,
    kernel_distance,
    precision_recall,
    reverse_kl,
)


def gaussian(count: int, seed: int, shift: float = 0, values: int = 4) -> torch.Tensor:
    return torch.randn(count, values, generator=torch.Generator().manual_seed(seed)) + shift


def mixed(count: int, seed: int) -> torch.Tensor:
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed + 1)) @ mixing


def reference_frechet_distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Compute the trace of the matrix root from its eigenvalues, as the reference implementation of the FID does."""
    covariances = [np.cov(rows, rowvar=False) for rows in (left, right)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    offset = left.mean(0) - right.mean(0)
    return float(offset @ offset + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


def test_frechet_distance_agrees_with_the_formula() -> None:
    left, right = mixed(300, 0), mixed(200, 7) + 1
    expected = reference_frechet_distance(left.double().numpy(), right.double().numpy())
    assert frechet_distance(Moments.of(left), Moments.of(right)) == pytest.approx(expected, rel=1e-9)


def test_in_one_dimension_the_frechet_distance_is_the_difference_of_means_and_deviations() -> None:
    left, right = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [11.0]])
    assert frechet_distance(Moments.of(left), Moments.of(right)) == pytest.approx(
        49 + (math.sqrt(18) - math.sqrt(2)) ** 2
    )


def test_a_set_has_no_frechet_distance_from_itself_also_where_features_are_constant() -> None:
    left = mixed(50, 3)
    left[:, 2] = 0
    assert frechet_distance(Moments.of(left), Moments.of(left)) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_is_unbiased_where_distributions_are_equal() -> None:
    found = [
        kernel_distance(gaussian(60, 2 * seed, values=8), gaussian(60, 2 * seed + 1, values=8)).mean
        for seed in range(100)
    ]
    mean, error = torch.tensor(found).mean(), torch.tensor(found).std() / 10
    assert abs(float(mean)) < 3 * float(error)


def test_kernel_distance_of_two_images_each_is_the_formula() -> None:
    left, right = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    cube = {pair: (pair + 1) ** 3 for pair in (0, 2, 3, 6)}
    assert kernel_distance(left, right).mean == pytest.approx(cube[2] + cube[0] - 2 * (2 + cube[3] + cube[6]) / 4)


def test_kernel_distance_is_the_mean_over_blocks_with_their_deviation() -> None:
    left, right = gaussian(2 * KERNEL_BLOCK + 5, 0, values=8), gaussian(2 * KERNEL_BLOCK, 1, shift=0.5, values=8)
    parts = [
        kernel_distance(left[start : start + KERNEL_BLOCK], right[start : start + KERNEL_BLOCK]).mean
        for start in (0, KERNEL_BLOCK)
    ]
    found = kernel_distance(left, right)
    assert found.mean == pytest.approx(sum(parts) / 2)
    assert found.deviation == pytest.approx(abs(parts[0] - parts[1]) / 2)
    assert found.mean > 10 * found.deviation


def test_two_halves_of_a_set_agree() -> None:
    found = precision_recall(hyperspheres(gaussian(500, 0)), hyperspheres(gaussian(500, 1)))
    assert min(found.precision, found.recall, found.coverage) > 0.85
    assert found.density == pytest.approx(1, abs=0.15)


def test_sets_apart_share_nothing() -> None:
    assert precision_recall(hyperspheres(gaussian(100, 0)), hyperspheres(gaussian(100, 1, shift=50))) == (0, 0, 0, 0)


def test_a_generator_of_one_good_image_is_precise_and_recalls_little() -> None:
    real = gaussian(500, 0)
    found = precision_recall(hyperspheres(real), hyperspheres(real[:1] + 1e-3 * gaussian(500, 1)))
    assert found.precision == 1
    assert found.recall < 0.05
    assert found.coverage < 0.1


def test_radii_are_the_distances_to_the_third_and_fifth_neighbour() -> None:
    line = torch.tensor([0.0, 1, 2, 3, 4, 5, 6])[:, None]
    spheres = hyperspheres(line)
    assert spheres.radii.tolist() == [3, 2, 2, 2, 2, 2, 3]
    assert spheres.coverage_radii.tolist() == [5, 4, 3, 3, 3, 4, 5]


def test_no_more_than_2000_images_are_compared() -> None:
    assert len(hyperspheres(gaussian(MAX_ROWS + 10, 0)).centers) == MAX_ROWS


def test_density_counts_the_neighbours_that_a_small_set_has() -> None:
    rows = torch.tensor([[0.0], [1.0], [2.0]])
    assert precision_recall(hyperspheres(rows), hyperspheres(rows + 0.01)).density == pytest.approx(7 / (2 * 3))


def test_class_shares_count_classes_without_images() -> None:
    assert class_shares(torch.tensor([0, 0, 2, 0]), 4).tolist() == [0.75, 0, 0.25, 0]


def test_reverse_kl_grows_with_what_is_too_frequent() -> None:
    even = torch.full((4,), 0.25, dtype=torch.float64)
    assert reverse_kl(even, even) == 0
    assert reverse_kl(torch.tensor([1.0, 0, 0, 0]), even) == pytest.approx(math.log(4))
    assert reverse_kl(torch.tensor([0.5, 0.5, 0, 0]), even) == pytest.approx(math.log(2))
