from __future__ import annotations

import pytest
import torch

from models.networks import build_generator
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation.evaluator import Evaluator, Plan

CPU = torch.device("cpu")


def test_an_evaluation_is_scored_with_protocol_and_floor(digits: Prepared) -> None:
    config = tiny()
    generator = build_generator(config.generator_config()).eval()
    evaluation = Evaluator(config, digits, CPU, Plan())(generator, 320, final=True)
    assert evaluation.images == 320
    assert next(iter(evaluation.scores)) == evaluation.chosen == "sliced_wasserstein"
    at_snapshot, at_end = evaluation.scores["sliced_wasserstein"], evaluation.scores["sliced_wasserstein_final"]
    assert at_snapshot.floor is not None
    assert 0 < 3 * at_snapshot.floor < at_snapshot.value
    assert "2000 samples" in at_snapshot.protocol
    assert "10000 samples" in at_end.protocol
    assert evaluation.scores["diversity"].floor == pytest.approx(1, abs=0.1)
