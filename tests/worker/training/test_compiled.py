"""Compiled networks: what is captured, what stays eager. Graphs run as they were captured, without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.devices.compiled import compile_networks
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own


class Captured:
    """A backend that counts the graphs that it is given, and how often they run."""

    def __init__(self) -> None:
        self.graphs = 0
        self.runs = 0

    def __call__(self, graph: Any, _inputs: Any) -> Callable[..., Any]:
        self.graphs += 1

        def run(*arguments: Any) -> Any:
            self.runs += 1
            return graph.forward(*arguments)

        return run

    def during(self, work: Callable[[], object]) -> int:
        """Count the runs while something is done."""
        before = self.runs
        work()
        return self.runs - before


@pytest.fixture
def training(digits: Prepared) -> tuple[TrainingState, StepConfig]:
    config = tiny("quick-28", penalty__every=2)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    return state, StepConfig.of(config, state, "fp32", config.total_images(digits.count))


def weights(state: TrainingState) -> list[Tensor]:
    return [
        parameter.detach().clone()
        for net in (state.modules["generator"], state.modules["discriminator"])
        for parameter in net.parameters()
    ]


def test_networks_are_captured_but_for_steps_with_a_penalty(training: tuple[TrainingState, StepConfig]) -> None:
    state, step_config = training
    before, noise = weights(state), state.noise.generator.get_state()
    copied, log = Captured(), list[str]()
    assert compile_networks(state, step_config, log.append, copied)
    assert log[0].startswith("compiled 2 networks in ")
    assert copied.graphs >= 4  # both networks, with gradients and without
    assert all(map(torch.equal, before, weights(state)))
    assert torch.equal(noise, state.noise.generator.get_state())
    assert state.batches.position == state.images == 0
    with_penalty, without = (copied.during(lambda: run_round(state, step_config)) for _ in range(2))
    assert without - with_penalty == 1
    assert float(state.sums.tensor[-1]) == 1


def test_networks_that_cannot_be_compiled_stay_as_they_are(training: tuple[TrainingState, StepConfig]) -> None:
    state, step_config = training
    before, log = weights(state), list[str]()

    def broken(_graph: Any, _inputs: Any) -> Callable[..., Any]:
        raise RuntimeError("no C compiler found")

    assert not compile_networks(state, step_config, log.append, broken)
    assert "the networks are not compiled, but run eagerly" in log[0]
    assert "no C compiler found" in log[0]
    assert all(map(torch.equal, before, weights(state)))
    run_round(state, step_config)
    assert not all(map(torch.equal, before, weights(state)))
