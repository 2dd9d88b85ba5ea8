from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.artefacts import snapshots
from tests.worker.evaluation.plans import PLAN
from tests.worker.training.attempts import CPU, Attempts
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import classifier
from worker.evaluation.evaluator import Evaluator


def test_evaluations_change_no_byte_of_the_weights(
    tmp_path: Path, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "SHOWN", classifier.SHOWN // 10)
    config = tiny("dcgan-28", kimg=0.48, snapshots=3, publish_every=1.0)
    calm, judged = (Attempts(tmp_path / name, digits) for name in ("calm", "judged"))
    assert calm.start(config).run()
    plan = PLAN.model_copy(update={"classifier": True, "chosen": "classifier_frechet"})
    judge = Evaluator(config, digits, CPU, plan, tmp_path, lambda _: None)
    assert replace(judged.start(config), evaluator=judge).run()
    assert judged.weights == calm.weights

    told = judged.events("score")
    assert [each["images"] for each in told] == [160, 320, 480]
    assert all(next(iter(each["scores"])) == each["chosen"] == "classifier_frechet" for each in told)
    kept = [snapshot.evaluation() for snapshot in snapshots(judged.run_dir)]
    assert [evaluation and evaluation.images for evaluation in kept] == [None, 160, 320, 480]
