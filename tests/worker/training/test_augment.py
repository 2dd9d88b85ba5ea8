from __future__ import annotations

import pytest
import torch

from worker.training.methods.augment import Confidence

CPU = torch.device("cpu")


def seen(confidence: Confidence, sign: float, batches: int, limit: float = 0.85) -> float:
    for _ in range(batches):
        confidence.see(torch.tensor(sign), 50, limit)
    return float(confidence.p)


def test_the_probability_follows_the_discriminators_confidence_every_four_batches() -> None:
    confidence = Confidence(CPU)
    step = 4 * 50 / 500_000
    assert seen(confidence, 1.0, 3) == 0
    assert seen(confidence, 1.0, 1) == pytest.approx(step)
    assert seen(confidence, 0.7, 8) == pytest.approx(3 * step)
    assert seen(confidence, -1.0, 4) == pytest.approx(2 * step)


def test_the_probability_stays_within_its_bounds() -> None:
    confidence = Confidence(CPU)
    assert seen(confidence, -1.0, 8) == 0
    assert seen(confidence, 1.0, 40, limit=0.001) == pytest.approx(0.001)


def test_confidence_of_six_tenths_is_just_right() -> None:
    confidence = Confidence(CPU)
    assert seen(confidence, 0.64, 4) > 0
    assert seen(confidence, 0.56, 4) == 0
