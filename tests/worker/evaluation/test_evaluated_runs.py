from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from models.artifacts.history import list_snapshots
from models.scores import Evaluation
from tests.worker.evaluation.schedules import SCHEDULE
from tests.worker.training.attempts import CPU, Attempts, after, with_evaluator
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import classifier
from worker.evaluation.evaluator import Evaluator
from worker.training.loop import TrainingLoop


def test_evaluations_change_no_byte_of_the_weights(
    tmp_path: Path, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "TRAINING_IMAGES", classifier.TRAINING_IMAGES // 10)
    config = tiny("dcgan-28", kimg=0.48, snapshots=3, publish_every=1.0)
    plain, evaluated = (Attempts(tmp_path / name, digits) for name in ("plain", "evaluated"))
    assert plain.start(config).run()
    schedule = SCHEDULE.model_copy(update={"classifier": True, "primary": "classifier_frechet"})
    evaluator = Evaluator(config, digits, CPU, schedule, tmp_path, lambda _: None)
    assert with_evaluator(evaluated.start(config), evaluator).run()
    assert evaluated.weights == plain.weights

    scores = evaluated.events("score")
    assert [each["images"] for each in scores] == [160, 320, 480]
    assert all(next(iter(each["scores"])) == each["chosen"] == "classifier_frechet" for each in scores)
    kept = [snapshot.evaluation() for snapshot in list_snapshots(evaluated.run_dir)]
    assert [evaluation and evaluation.images for evaluation in kept] == [None, 160, 320, 480]


def test_a_run_stopped_between_evaluations_has_the_same_scores_and_bytes(tmp_path: Path, digits: Prepared) -> None:
    config = tiny(kimg=0.96, snapshots=6, publish_every=1.0)
    calm, stopped = (Attempts(tmp_path / name, digits) for name in ("calm", "stopped"))

    def attempt(run: Attempts, rounds: int) -> TrainingLoop:
        evaluator = Evaluator(config, digits, CPU, SCHEDULE, tmp_path, lambda _: None)
        return with_evaluator(run.start(config, after(rounds), young=64), evaluator)

    whole = attempt(calm, 100)
    assert whole.run()
    for rounds in (7, 3, 6):  # between two evaluations, right behind one, between two others
        assert not attempt(stopped, rounds).run()
    last = attempt(stopped, 100)
    assert last.run()
    assert stopped.weights == calm.weights
    assert last.state.guard == whole.state.guard
    assert whole.state.guard.best is not None
    histories = [[found.evaluation() for found in list_snapshots(run.run_dir)] for run in (stopped, calm)]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 7


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("1 GiB more"), LinAlgError("no convergence")])
def test_an_evaluation_that_fails_costs_a_score_and_not_the_run(
    tmp_path: Path, digits: Prepared, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    config = tiny(kimg=0.064, snapshots=2, publish_every=1.0)
    attempts = Attempts(tmp_path, digits)
    evaluator = Evaluator(config, digits, CPU, SCHEDULE, tmp_path, lambda _: None)

    def look(self: Evaluator, generator: nn.Module, images: int, *, final: bool) -> Evaluation | None:
        if not final:
            raise error
        return whole(self, generator, images, final=final)

    whole = Evaluator.__call__
    monkeypatch.setattr(Evaluator, "__call__", look)
    assert with_evaluator(attempts.start(config), evaluator).run()
    assert [each["images"] for each in attempts.events("score")] == [64]
    (message,) = [each["message"] for each in attempts.events("log")]
    assert message.startswith("not scored at 0.032 kimg: ")
    assert str(error) in message
