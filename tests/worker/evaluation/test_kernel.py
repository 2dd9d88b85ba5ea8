from __future__ import annotations

import pytest
import torch

from worker.evaluation.kernel_distance import BLOCK, discrepancy


def drawn(count: int, seed: int, shift: float = 0) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)) + shift


def test_it_is_without_bias_where_there_is_nothing_to_tell_apart() -> None:
    found = [discrepancy(drawn(60, 2 * seed), drawn(60, 2 * seed + 1)).mean for seed in range(100)]
    mean, error = torch.tensor(found).mean(), torch.tensor(found).std() / 10
    assert abs(float(mean)) < 3 * float(error)


def test_of_two_images_each_it_is_the_formula() -> None:
    left, right = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    cube = {pair: (pair + 1) ** 3 for pair in (0, 2, 3, 6)}
    assert discrepancy(left, right).mean == pytest.approx(cube[2] + cube[0] - 2 * (2 + cube[3] + cube[6]) / 4)


def test_it_is_the_mean_over_blocks_and_knows_their_deviation() -> None:
    left, right = drawn(2 * BLOCK + 5, 0), drawn(2 * BLOCK, 1, shift=0.5)
    parts = [discrepancy(left[start : start + BLOCK], right[start : start + BLOCK]).mean for start in (0, BLOCK)]
    found = discrepancy(left, right)
    assert found.mean == pytest.approx(sum(parts) / 2)
    assert found.deviation == pytest.approx(abs(parts[0] - parts[1]) / 2)
    assert found.mean > 10 * found.deviation
