from __future__ import annotations

import pytest
import torch
from torch import Tensor

from worker.training.methods.adaptive import adapt, new_adaptive_state

CPU = torch.device("cpu")


def adapted(state: Tensor, sign: float, batches: int, limit: float = 0.85) -> float:
    for _ in range(batches):
        adapt(state, torch.tensor(sign), 50, limit)
    return float(state[0])


def test_the_probability_follows_the_discriminators_confidence_every_four_batches() -> None:
    state = new_adaptive_state(CPU)
    step = 4 * 50 / 500_000
    assert adapted(state, 1.0, 3) == 0
    assert adapted(state, 1.0, 1) == pytest.approx(step)
    assert adapted(state, 0.7, 8) == pytest.approx(3 * step)
    assert adapted(state, -1.0, 4) == pytest.approx(2 * step)


def test_the_probability_stays_within_its_bounds() -> None:
    state = new_adaptive_state(CPU)
    assert adapted(state, -1.0, 8) == 0
    assert adapted(state, 1.0, 40, limit=0.001) == pytest.approx(0.001)


def test_confidence_of_six_tenths_is_just_right() -> None:
    state = new_adaptive_state(CPU)
    assert adapted(state, 0.64, 4) > 0
    assert adapted(state, 0.56, 4) == 0
