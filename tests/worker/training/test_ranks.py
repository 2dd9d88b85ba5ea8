"""Several ranks against one process, each a real process that talks to the others through gloo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worker.training.ranked import TRAININGS, normalised, played
from worker.data.prepared import Prepared
from worker.training.devices.ranks import SINGLE, Command, join_ranks

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
Results = Callable[[str], list[Any]]


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory, digits: Prepared) -> Results:
    """Return what two ranks made of something, by its name in `ranked`."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.worker.training.ranked", "2", str(folder), str(digits.path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    return lambda name: [torch.load(folder / f"{name}-{rank}.pt") for rank in (0, 1)]


def test_batch_norm_is_that_of_all_rows(of_two: Results) -> None:
    """Its output, its statistics, and the gradients of its weights and of what came in."""
    alone = normalised(SINGLE)
    results = of_two("normalised")
    for result in results:
        assert_close(result["state"], alone["state"])
        assert_close(result["by"], alone["by"])
    for name in ("rows", "by rows"):
        assert_close(torch.cat([result[name] for result in results]), alone[name])
    for name, value in results[0]["state"].items():
        assert torch.equal(value, results[1]["state"][name]), name


def test_every_rank_hears_what_rank_0_says_and_what_any_does(of_two: Results) -> None:
    for result in of_two("messages"):
        assert result["value"] == {"path": "a/ü", "n": [1, None]}
        assert result["orders"] == [Command.ROUND, Command.SYNC_STATE]
        assert result["handed"] == [0, 1, 2, 3, 4]
        assert result["any"] == [True, False]
        assert [mean.flatten().tolist() for mean in result["means"]] == [[0.5] * 3, [1.5] * 4]


@pytest.mark.parametrize("name", TRAININGS)
def test_two_ranks_train_as_one_process_does(name: str, of_two: Results, digits: Prepared) -> None:
    """Order and random numbers are the very same, sums are taken in another order, and ranks agree to the bit."""
    first, second = of_two(name)
    assert [key for key in first["tensors"] if not torch.equal(first["tensors"][key], second["tensors"][key])] == []
    alone = played(TRAININGS[name], digits, SINGLE)
    assert first["position"] == second["position"] == alone["position"]
    compare(first["tensors"], alone["tensors"])


def test_all_ranks_go_back_where_rank_0_does(of_two: Results) -> None:
    first, second = of_two("rolled back")
    assert first["position"] == second["position"] == (1, 1280)
    assert first["lr"] == second["lr"] == 0.5
    differing = [key for key in first["tensors"] if not torch.equal(first["tensors"][key], second["tensors"][key])]
    assert differing == ["sums"]  # rank 0 reports and resets its own
    assert all(tensor.isfinite().all() for tensor in second["tensors"].values())


@pytest.mark.parametrize("name", ["dropout", "conditional", "pairs and r1_r2"])
def test_slices_train_as_the_whole_batch_does(name: str, digits: Prepared) -> None:
    whole, sliced = (played(TRAININGS[name], digits, SINGLE, slices) for slices in (1, 4))
    assert sliced["position"] == whole["position"]
    compare(sliced["tensors"], whole["tensors"])


def compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Random states are equal, all else within float noise; networks as a whole, for Adam blows up small gradients."""
    assert found.keys() == expected.keys()
    for key in ("random.noise", "random.torch"):
        assert torch.equal(found[key], expected[key]), key
    for key in ("sums", "confidence"):
        assert_close(found[key], expected[key], rtol=1e-4, atol=1e-6)
    for network in ("generator.", "discriminator.", "average.", "projected."):
        names = [key for key in expected if key.startswith(network)]
        if not names:
            continue
        ours, theirs = (torch.cat([state[key].double().flatten() for key in names]) for state in (found, expected))
        assert (ours - theirs).abs().mean() < 1e-4 * theirs.abs().mean(), network


def test_one_alone_waits_for_nobody_and_needs_no_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    ranks = join_ranks([CPU])
    assert ranks is SINGLE
    mine = [torch.ones(2)]
    ranks.average(mine)
    ranks.close()
    assert (mine[0].tolist(), ranks.broadcast({"a": 1}), ranks.any(True), ranks.command(Command.ROUND)) == (
        [1, 1],
        {"a": 1},
        True,
        Command.ROUND,
    )


def test_a_run_on_several_devices_needs_as_many_processes() -> None:
    with pytest.raises(RuntimeError, match="2 devices and 1 process"):
        join_ranks([CPU, CPU])
