"""Several ranks against one process, each a real process that talks to the others through gloo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tests.worker.training.ranked import normalised
from worker.training.ranks import ALONE, Order, join

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
Results = Callable[[str], list[Any]]


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Give what two ranks made of something, by its name in `ranked`."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.worker.training.ranked", "2", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    return lambda name: [torch.load(folder / f"{name}-{rank}.pt") for rank in (0, 1)]


def test_batch_norm_is_that_of_all_rows(of_two: Results) -> None:
    """Its output, its statistics, and the gradients of its weights and of what came in."""
    alone = normalised(ALONE)
    results = of_two("normalised")
    for result in results:
        assert_close(result["state"], alone["state"])
        assert_close(result["by"], alone["by"])
    for name in ("rows", "by rows"):
        assert_close(torch.cat([result[name] for result in results]), alone[name])
    for name, value in results[0]["state"].items():
        assert torch.equal(value, results[1]["state"][name]), name


def test_every_rank_hears_what_rank_0_says_and_what_any_does(of_two: Results) -> None:
    for result in of_two("told"):
        assert result["value"] == {"path": "a/ü", "n": [1, None]}
        assert result["orders"] == [Order.ROUND, Order.TAKE_OVER]
        assert result["handed"] == [0, 1, 2, 3, 4]
        assert result["any"] == [True, False]
        assert [mean.flatten().tolist() for mean in result["means"]] == [[0.5] * 3, [1.5] * 4]


def test_one_alone_waits_for_nobody_and_needs_no_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    ranks = join([CPU])
    assert ranks is ALONE
    mine = [torch.ones(2)]
    ranks.average(mine)
    ranks.close()
    assert (mine[0].tolist(), ranks.tell({"a": 1}), ranks.any(True), ranks.order(Order.ROUND)) == (
        [1, 1],
        {"a": 1},
        True,
        Order.ROUND,
    )


def test_a_run_on_several_devices_needs_as_many_processes() -> None:
    with pytest.raises(RuntimeError, match="2 devices and 1 process"):
        join([CPU, CPU])
