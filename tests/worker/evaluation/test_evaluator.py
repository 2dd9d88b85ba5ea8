from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.config.training import TrainingConfig
from models.networks import build_generator
from tests.worker.evaluation.schedules import SCHEDULE
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import classifier, inception
from worker.evaluation.evaluator import Evaluator, create_evaluator

CPU = torch.device("cpu")


def untrained(config: TrainingConfig) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_generator(config.generator_config()).eval()


def test_snapshots_and_the_end_have_protocols_of_their_own(digits: Prepared, tmp_path: Path) -> None:
    config = tiny()
    evaluate = Evaluator(config, digits, CPU, SCHEDULE.model_copy(update={"final": True}), tmp_path, pytest.fail)
    evaluation = evaluate(untrained(config), 320, final=True)
    assert evaluation is not None
    assert evaluation.images == 320
    assert next(iter(evaluation.scores)) == evaluation.primary == "sliced_wasserstein"
    at_snapshot, at_end = evaluation.scores["sliced_wasserstein"], evaluation.scores["sliced_wasserstein_final"]
    assert at_snapshot.baseline is not None
    assert 0 < 3 * at_snapshot.baseline < at_snapshot.value
    assert "2000 samples" in at_snapshot.protocol
    assert "10000 samples" in at_end.protocol
    assert evaluation.scores["diversity"].baseline == pytest.approx(1, abs=0.1)
    assert not evaluation.shares


def test_a_labelled_set_is_evaluated_by_its_own_classifier(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "TRAINING_IMAGES", classifier.TRAINING_IMAGES // 10)
    config = tiny("mlp-conditional")
    messages: list[str] = []
    schedule = SCHEDULE.model_copy(update={"classifier": True, "primary": "classifier_frechet"})
    evaluate = Evaluator(config, digits, CPU, schedule, tmp_path, messages.append)
    before = torch.get_rng_state()
    evaluation = evaluate(untrained(config), 64, final=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert evaluation is not None
    assert next(iter(evaluation.scores)) == evaluation.primary == "classifier_frechet"
    names = {"precision", "recall", "density", "coverage", "frechet"}
    assert {f"classifier_{name}" for name in names} | {"balance", "sliced_wasserstein"} <= set(evaluation.scores)
    primary = evaluation.score
    assert primary.baseline is not None
    assert 0 < 10 * primary.baseline < primary.value
    assert "classifier trained on the data itself" in primary.protocol
    assert sum(evaluation.shares.values()) == pytest.approx(1)
    assert set(evaluation.expected) == set(digits.classes)
    assert not evaluation.scores["classifier_recall"].lower_is_better
    assert evaluate(untrained(config), 64, final=False) == evaluation


def test_without_a_schedule_the_log_says_that_nothing_is_scored(digits: Prepared, tmp_path: Path) -> None:
    messages: list[str] = []
    assert create_evaluator(tiny(), digits, CPU, None, tmp_path, messages.append, download=False) is None
    assert messages == ["nothing is scored: 6000 images are too few to compare with"]


@pytest.mark.parametrize("primary", ["sliced_wasserstein", "fid"])
def test_without_inception_no_other_score_replaces_the_primary_one(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, primary: str
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    config = tiny()
    (tmp_path / inception.FILE).write_bytes(b"torn")
    messages: list[str] = []
    schedule = SCHEDULE.model_copy(update={"inception": True, "primary": primary})
    evaluation = Evaluator(config, digits, CPU, schedule, tmp_path, messages.append)(untrained(config), 64, final=False)
    assert messages[0].startswith("no FID, KID, precision or recall: weights-inception")
    if primary == "fid":
        assert evaluation is None
        assert messages[1:] == ["not scored at 0.064 kimg: fid selects the best snapshot, and is not available"]
    else:
        assert evaluation is not None
        assert evaluation.primary == primary
