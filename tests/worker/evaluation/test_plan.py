from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.config.presets import TrainRequest, load, resolve
from models.config.training import TrainingConfig
from worker.data.prepared import Prepared
from worker.evaluation.schedule import SHARE, Plan, plan, replaced


def asked(preset: str, **request: Any) -> TrainingConfig:
    return resolve(TrainRequest(preset=preset, dataset="mnist", **request))


def planned(
    digits: Prepared, preset: str, device: Any = "cpu", count: int = 60_000, has: bool = True, **request: Any
) -> Plan:
    manifest = digits.manifest.model_copy(update={"count": count})
    return plan(asked(preset, **request), replace(digits, manifest=manifest), device, "bf16", 2, lambda: has)


@pytest.mark.parametrize("preset", [name for name in load() if load()[name].training["channels"] == 1])
def test_evaluations_stay_within_their_share_of_the_time(digits: Prepared, preset: str) -> None:
    assert 0 < planned(digits, preset, "cuda").share <= SHARE
    found = planned(digits, preset)
    assert 0 < found.share <= SHARE
    assert found.publications
    assert found.final
    assert found.chosen == "classifier_frechet"


def test_a_short_run_is_judged_at_its_end_only(digits: Prepared) -> None:
    found = planned(digits, "mlp-mnist", kimg=2)
    assert (found.every, found.publications, found.final, found.classifier) == (0, False, False, False)
    assert found.chosen == "sliced_wasserstein"


def test_a_longer_run_is_judged_more_often(digits: Prepared) -> None:
    short, long = (planned(digits, "quick-28", kimg=kimg).every for kimg in (1000, 5000))
    assert 0 < long < short


def test_inception_is_asked_where_there_is_time_for_it(digits: Prepared) -> None:
    assert planned(digits, "r3gan-32", "cuda").inception
    assert not planned(digits, "quick-28", "cpu").inception


def test_the_configuration_chooses_the_score_that_decides(digits: Prepared) -> None:
    assert planned(digits, "r3gan-32", "cuda", overrides={"score": "kid"}).chosen == "kid"
    assert planned(digits, "quick-28", overrides={"score": "kid"}).chosen == "classifier_frechet"
    assert planned(digits, "quick-28", overrides={"score": "sliced_wasserstein"}).chosen == "sliced_wasserstein"


def test_a_score_that_cannot_be_had_is_replaced_for_good_and_told(digits: Prepared) -> None:
    request: dict[str, Any] = {"preset": "r3gan-32", "overrides": {"score": "fid"}}
    there, missing = (planned(digits, device="cuda", has=has, **request) for has in (True, False))
    assert (there.chosen, there.inception) == ("fid", True)
    assert (missing.chosen, missing.inception) == ("classifier_frechet", False)
    assert replaced(asked(**request), there) is None
    told = replaced(asked(**request), missing)
    assert told is not None
    assert told.startswith("the score fid was asked for and cannot be had (its network's weights are missing")
    assert told.endswith("classifier_frechet decides in its place")
    assert replaced(asked("r3gan-32"), missing) is None
