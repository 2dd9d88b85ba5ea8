"""Rounds whose settings lie on the device; on a GPU, recorded ones."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from models.config import TrainingConfig
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.graphs import WARM_UP, Board, Recorder
from worker.training.state import TrainingState
from worker.training.steps import Perform, Recipe, perform, play_round

CPU = torch.device("cpu")
ANNEALED = {"generator__lr_end": 1e-5, "discriminator__beta2_end": 0.99}
AUGMENTED = {"augment__policy": ["color"], "augment__p": 0.5, "augment__control": "cosine"}
TRAININGS: list[tuple[str, dict[str, Any]]] = [
    ("mlp-mnist", {}),
    ("mlp-conditional", ANNEALED),
    ("dcgan-28", AUGMENTED),
    # Not in pairs, which cancel the last bias: its gradients are rounding errors, and Adam makes steps of them.
    ("quick-28", {"penalty__every": 2, "loss": "non_saturating"}),
    ("r3gan-32", {}),
    ("wgan-gp", {}),
]


def trained(config: TrainingConfig, digits: Prepared, device: torch.device, rounds: int, by: Any) -> list[Tensor]:
    """Give what a training has come to after some rounds, done by `by(recipe)`."""
    state = TrainingState(config, Loader(digits, config.batch_size, 0, device), device)
    recipe = Recipe.of(config, state, "fp32", config.total_images(digits.count))
    done: Perform | None = by(recipe)
    for number in range(rounds):
        play_round(state, recipe, watched=number % 4 == 3, by=done)
    networks = (state.generator, state.discriminator, state.average)
    weights = [tensor.detach().cpu() for network in networks for tensor in network.parameters()]
    return [*weights, state.sums.tensor.cpu(), state.sums.gradient_d.cpu(), state.sums.gradient_g.cpu()]


def by_scalars(recipe: Recipe, device: torch.device = CPU) -> Perform:
    """Perform rounds as they are, with their settings as scalars on the device."""
    board = Board(recipe, device)

    def performed(state: Any, recipe: Any, dials: Any, *rest: Any, watched: bool) -> None:
        perform(state, recipe, board.set(dials), *rest, watched=watched)

    return performed


@pytest.mark.parametrize(("preset", "overrides"), TRAININGS)
def test_settings_on_the_device_do_what_numbers_do(preset: str, overrides: dict[str, Any], digits: Prepared) -> None:
    config = tiny(preset, **overrides)
    by_numbers = trained(config, digits, CPU, 5, lambda _recipe: None)
    for expected, found in zip(by_numbers, trained(config, digits, CPU, 5, by_scalars), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5)


def test_every_setting_that_a_schedule_moves_lies_on_the_device(digits: Prepared) -> None:
    config = tiny("mlp-mnist", **ANNEALED)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    recipe = Recipe.of(config, state, "fp32", 1000)
    board = Board(recipe, CPU)
    first = board.set(recipe.dials(state))
    places = {name: value.data_ptr() for name, value in vars(first).items() if isinstance(value, Tensor)}
    assert set(vars(first)) - set(places) == {"generator_beta2"}
    state.images = 500
    second = recipe.dials(state)
    board.set(second)
    for name, value in vars(first).items():
        assert float(value) == pytest.approx(getattr(second, name))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("preset", "overrides"), TRAININGS)
def test_recorded_rounds_do_what_rounds_do(preset: str, overrides: dict[str, Any], digits: Prepared) -> None:
    config, gpu = tiny(preset, **overrides), torch.device("cuda", 0)
    log: list[str] = []
    rounds = 8 * WARM_UP
    plain = trained(config, digits, gpu, rounds, functools.partial(by_scalars, device=gpu))
    recorded = trained(config, digits, gpu, rounds, lambda recipe: Recorder(recipe, gpu, log.append))
    assert any("as a CUDA graph" in line for line in log)
    assert not any("as they are" in line for line in log)
    for expected, found in zip(plain, recorded, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_cannot_be_recorded_is_played_as_it_is(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused:
        def __init__(self, *_arguments: Any, **_settings: Any) -> None:
            raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr("worker.training.graphs.Recorded", Refused)
    config, gpu = tiny(), torch.device("cuda", 0)
    log: list[str] = []
    trained(config, digits, gpu, 8, lambda recipe: Recorder(recipe, gpu, log.append))
    reason = "operation not permitted when stream is capturing"
    assert log == [f"rounds are not recorded as CUDA graphs, but played as they are: {reason}"]
