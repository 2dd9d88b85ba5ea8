from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.config.presets import load
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from models.scores import EvaluationSchedule
from worker.data.prepared import Prepared
from worker.evaluation.schedule import SHARE, explain_substitution, schedule_evaluations


def configured(preset: str, **request: Any) -> TrainingConfig:
    return resolve(TrainRequest(preset=preset, dataset="mnist", **request))


def scheduled(
    digits: Prepared, preset: str, device: Any = "cpu", count: int = 60_000, has: bool = True, **request: Any
) -> EvaluationSchedule:
    manifest = digits.manifest.model_copy(update={"count": count})
    return schedule_evaluations(
        configured(preset, **request), replace(digits, manifest=manifest), device, "bf16", 2, lambda: has
    )


@pytest.mark.parametrize("preset", [name for name in load() if load()[name].training["channels"] == 1])
def test_evaluations_stay_within_their_share_of_the_time(digits: Prepared, preset: str) -> None:
    assert 0 < scheduled(digits, preset, "cuda").share <= SHARE
    found = scheduled(digits, preset)
    assert 0 < found.share <= SHARE
    assert found.publications
    assert found.final
    assert found.primary == "classifier_frechet"


def test_a_short_run_is_evaluated_at_its_end_only(digits: Prepared) -> None:
    found = scheduled(digits, "mlp-mnist", kimg=2)
    assert (found.every, found.publications, found.final, found.classifier) == (0, False, False, False)
    assert found.primary == "sliced_wasserstein"


def test_a_longer_run_is_evaluated_more_often(digits: Prepared) -> None:
    short, long = (scheduled(digits, "quick-28", kimg=kimg).every for kimg in (1000, 5000))
    assert 0 < long < short


def test_inception_is_used_where_there_is_time_for_it(digits: Prepared) -> None:
    assert scheduled(digits, "r3gan-32", "cuda").inception
    assert not scheduled(digits, "quick-28", "cpu").inception


def test_the_configuration_names_the_primary_score(digits: Prepared) -> None:
    assert scheduled(digits, "r3gan-32", "cuda", overrides={"score": "kid"}).primary == "kid"
    assert scheduled(digits, "quick-28", overrides={"score": "kid"}).primary == "classifier_frechet"
    assert scheduled(digits, "quick-28", overrides={"score": "sliced_wasserstein"}).primary == "sliced_wasserstein"


def test_a_score_that_is_not_available_is_replaced_and_logged(digits: Prepared) -> None:
    request: dict[str, Any] = {"preset": "r3gan-32", "overrides": {"score": "fid"}}
    there, missing = (scheduled(digits, device="cuda", has=has, **request) for has in (True, False))
    assert (there.primary, there.inception) == ("fid", True)
    assert (missing.primary, missing.inception) == ("classifier_frechet", False)
    assert explain_substitution(configured(**request), there) is None
    message = explain_substitution(configured(**request), missing)
    assert message is not None
    assert message.startswith("score=fid is not available (the weights of its network are missing")
    assert message.endswith("using classifier_frechet to select the best snapshot")
    assert explain_substitution(configured("r3gan-32"), missing) is None
