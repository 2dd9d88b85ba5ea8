from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.config.training import TrainingConfig
from models.networks import build_generator
from tests.worker.evaluation.plans import PLAN
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import classifier, inception
from worker.evaluation.evaluator import Evaluator, evaluator

CPU = torch.device("cpu")


def untrained(config: TrainingConfig) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_generator(config.generator_config()).eval()


def test_snapshots_and_the_end_have_protocols_of_their_own(digits: Prepared, tmp_path: Path) -> None:
    config = tiny()
    judge = Evaluator(config, digits, CPU, PLAN.model_copy(update={"final": True}), tmp_path, pytest.fail)
    evaluation = judge(untrained(config), 320, final=True)
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


def test_a_labelled_set_is_judged_by_its_own_classifier(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "SHOWN", classifier.SHOWN // 10)
    config = tiny("mlp-conditional")
    told: list[str] = []
    plan = PLAN.model_copy(update={"classifier": True, "chosen": "classifier_frechet"})
    judge = Evaluator(config, digits, CPU, plan, tmp_path, told.append)
    before = torch.get_rng_state()
    evaluation = judge(untrained(config), 64, final=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert evaluation is not None
    assert next(iter(evaluation.scores)) == evaluation.primary == "classifier_frechet"
    names = {"precision", "recall", "density", "coverage", "frechet"}
    assert {f"classifier_{name}" for name in names} | {"balance", "sliced_wasserstein"} <= set(evaluation.scores)
    chosen = evaluation.score
    assert chosen.baseline is not None
    assert 0 < 10 * chosen.baseline < chosen.value
    assert "classifier trained on the data itself" in chosen.protocol
    assert sum(evaluation.shares.values()) == pytest.approx(1)
    assert set(evaluation.expected) == set(digits.classes)
    assert not evaluation.scores["classifier_recall"].lower_is_better
    assert judge(untrained(config), 64, final=False) == evaluation


def test_without_a_plan_the_log_says_that_nothing_is_scored(digits: Prepared, tmp_path: Path) -> None:
    told: list[str] = []
    assert evaluator(tiny(), digits, CPU, None, tmp_path, told.append, fetch=False) is None
    assert told == ["nothing is scored: 6000 images are too few to compare with"]


@pytest.mark.parametrize("chosen", ["sliced_wasserstein", "fid"])
def test_without_inception_another_score_never_decides_in_its_place(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    config = tiny()
    (tmp_path / inception.FILE).write_bytes(b"torn")
    told: list[str] = []
    plan = PLAN.model_copy(update={"inception": True, "chosen": chosen})
    evaluation = Evaluator(config, digits, CPU, plan, tmp_path, told.append)(untrained(config), 64, final=False)
    assert told[0].startswith("no FID, KID, precision or recall: weights-inception")
    if chosen == "fid":
        assert evaluation is None
        assert told[1:] == ["not scored at 0.064 kimg: fid decides in this run, and is not there"]
    else:
        assert evaluation is not None
        assert evaluation.primary == chosen
