"""Failed and healthy runs that were really trained, and the names that the verdict gives them.

`failed_runs.npz` holds images of the last snapshots up to a tenth of each failed run, of MNIST and of Google's Noto
emoji (Apache-2.0); `judged_runs.json` how they were made, and of the other runs what was measured at their snapshots.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from models.artifacts.events import last_health
from tests.worker.training.attempts import Attempts
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.training.guard.appearance import Appearance, Measures
from worker.training.guard.findings import GRACE, YOUNG, Rules
from worker.training.guard.looks import Look, look, name_looks

_FIXTURES: Final = Path(__file__).parents[2] / "fixtures"
_RUNS: Final = json.loads((_FIXTURES / "judged_runs.json").read_text())
_IMAGES: Final = np.load(_FIXTURES / "failed_runs.npz")
_EACH: Final = 8  # images of a class


def appearances(name: str, run: dict[str, Any]) -> list[tuple[int, Appearance]]:
    """Return what the snapshots of a run looked like, by position."""
    if "rows" in run:
        return [(row[0], Appearance(*row[1:])) for row in run["rows"]]
    real, images = _IMAGES[f"real_{run['real']}"], _IMAGES[name]
    labels = np.arange(len(real)) // _EACH if run["conditional"] else None
    beside = Measures.of(real, labels)
    return [
        (position, Measures.of(each, labels).beside(beside))
        for position, each in zip(run["images"], images, strict=True)
    ]


def names(name: str, run: dict[str, Any]) -> list[tuple[int, list[str]]]:
    """Return the names of what is wrong with a run, by position."""
    total = int(run["kimg"] * 1000)
    rules = Rules(acts=True, total=total, young=YOUNG * run["batch_size"], parameters=1, conditional=run["conditional"])
    found: list[tuple[int, list[str]]] = []
    looks: tuple[Look, ...] = ()
    for position, appearance in appearances(name, run):
        looks = look(position, appearance, {}, looks, rules=rules)
        found.append((position, [finding.kind for finding in name_looks(looks, rules)]))
    return found


@pytest.mark.parametrize("name", _RUNS["failed"])
def test_a_failed_run_is_called_by_its_name_within_a_tenth_of_its_length(name: str) -> None:
    run = _RUNS["failed"][name]
    first = next(kinds for position, kinds in names(name, run) if position >= GRACE * run["kimg"] * 1000)
    assert run["kind"] in first


@pytest.mark.parametrize("name", _RUNS["healthy"])
def test_a_healthy_run_is_never_called_a_failure(name: str) -> None:
    assert {kind for _, kinds in names(name, _RUNS["healthy"][name]) for kind in kinds} <= {"still_early"}


def test_twenty_runs_are_healthy() -> None:
    assert len(_RUNS["healthy"]) >= 20


def test_a_run_whose_rates_are_far_too_high_shows_its_verdict(tmp_path: Path, digits: Prepared) -> None:
    rates = {"generator__lr": 0.5, "discriminator__lr": 0.5}
    run = Attempts(tmp_path / "run", digits)
    assert run.start(tiny("quick-28", kimg=2.56, snapshots=20, tick_kimg=0.128, guard="numbers", **rates)).run()
    (event,) = [data for data in run.events("health") if data["verdict"] == "collapsed"]
    assert event["reasons"][0].startswith("Images of different latents differ by 0%")
    newest = last_health(run.run_dir)
    assert newest is not None
    assert newest["verdict"] == "collapsed"
