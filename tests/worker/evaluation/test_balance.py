from __future__ import annotations

import math

import pytest
import torch

from worker.evaluation.balance import divergence, shares


def test_shares_count_classes_that_nobody_made() -> None:
    assert shares(torch.tensor([0, 0, 2, 0]), 4).tolist() == [0.75, 0, 0.25, 0]


def test_it_costs_what_is_made_too_often() -> None:
    even = torch.full((4,), 0.25, dtype=torch.float64)
    assert divergence(even, even) == 0
    assert divergence(torch.tensor([1.0, 0, 0, 0]), even) == pytest.approx(math.log(4))
    assert divergence(torch.tensor([0.5, 0.5, 0, 0]), even) == pytest.approx(math.log(2))
