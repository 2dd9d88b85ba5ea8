"""Rounds whose settings lie on the device; on a GPU, recorded ones."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from models.config.training import TrainingConfig
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.devices.graphs import (
    DeviceHyperparameters,
    GraphRunner,
    Unrecordable,
    first_line,
    with_device_scalars,
)
from worker.training.rounds import WARM_UP, RunUpdates, run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
ANNEALED = {"generator__lr_end": 1e-5, "discriminator__beta2_end": 0.99}
AUGMENTED = {"augment__policy": ["color"], "augment__p": 0.5, "augment__control": "cosine"}
ADAPTIVE = {"augment__control": "adaptive"}
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
    """Return what a training has come to after some rounds, done by `by(recipe)`."""
    state = TrainingState(config, Loader(digits, config.batch_size, 0, device), device)
    step_config = StepConfig.of(config, state, "fp32", config.total_images(digits.count))
    done: RunUpdates | None = by(step_config)
    for number in range(rounds):
        run_round(state, step_config, log_gradients=number % 4 == 3, run=done)
    networks = (state.modules["generator"], state.modules["discriminator"], state.averages["average"])
    weights = [tensor.detach().cpu() for network in networks for tensor in network.parameters()]
    return [
        *weights,
        state.sums.tensor.cpu(),
        state.sums.norms["discriminator"].cpu(),
        state.sums.norms["generator"].cpu(),
    ]


@pytest.mark.parametrize(("preset", "overrides"), TRAININGS)
def test_settings_on_the_device_do_what_numbers_do(preset: str, overrides: dict[str, Any], digits: Prepared) -> None:
    config = tiny(preset, **overrides)
    by_numbers = trained(config, digits, CPU, 5, lambda _recipe: None)
    found_by_scalars = trained(config, digits, CPU, 5, functools.partial(with_device_scalars, device=CPU))
    for expected, found in zip(by_numbers, found_by_scalars, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5)


def test_every_setting_that_a_schedule_moves_lies_on_the_device(digits: Prepared) -> None:
    config = tiny("mlp-mnist", **ANNEALED)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    step_config = StepConfig.of(config, state, "fp32", 1000)
    scalars = DeviceHyperparameters(step_config, CPU)
    first = scalars.set(step_config.hyperparameters(state))
    places = {name: value.data_ptr() for name, value in first.items() if isinstance(value, Tensor)}
    assert set(first) - set(places) == {"generator_beta2"}
    state.images = 500
    second = step_config.hyperparameters(state)
    scalars.set(second)
    for name, value in first.items():
        assert float(value) == pytest.approx(second[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("preset", "overrides"), TRAININGS)
def test_recorded_rounds_do_what_rounds_do(preset: str, overrides: dict[str, Any], digits: Prepared) -> None:
    config, gpu = tiny(preset, **overrides), torch.device("cuda", 0)
    log: list[str] = []
    rounds = 8 * WARM_UP
    plain = trained(config, digits, gpu, rounds, functools.partial(with_device_scalars, device=gpu))
    recorded = trained(config, digits, gpu, rounds, lambda step_config: GraphRunner(step_config, gpu, log.append))
    assert any("as a CUDA graph" in line for line in log)
    for expected, found in zip(plain, recorded, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_cannot_be_recorded_is_reported_with_its_reason(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that ends the recording says nothing but that it was invalidated."""

    def read_back(*_arguments: Any, **_settings: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    config, gpu = tiny(), torch.device("cuda", 0)
    monkeypatch.setattr("worker.training.devices.graphs.Recorded", read_back)
    with pytest.raises(Unrecordable, match="not permitted"):
        trained(config, digits, gpu, 8, lambda step_config: GraphRunner(step_config, gpu, lambda _line: None))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("preset", "overrides"), TRAININGS)
def test_no_round_on_a_gpu_waits_for_it(preset: str, overrides: dict[str, Any], digits: Prepared) -> None:
    config, gpu = tiny(preset, **overrides), torch.device("cuda", 0)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, gpu), gpu)
    step_config = StepConfig.of(config, state, "fp32", config.total_images(digits.count))
    run_round(state, step_config)  # libraries may wait while they begin
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            run_round(state, step_config, log_gradients=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_reason_of_a_failed_recording_is_its_first_error() -> None:
    with pytest.raises(RuntimeError) as caught:
        fail_twice()
    assert first_line(caught.value) == "operation not permitted when stream is capturing"


def fail_twice() -> None:
    try:
        raise RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")
    finally:
        raise RuntimeError("the recording was invalidated")


READING = ["item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__", "__index__"]


@pytest.mark.parametrize(("preset", "overrides"), [*TRAININGS, ("mlp-mnist", {**AUGMENTED, **ADAPTIVE})])
def test_nothing_in_a_round_is_read_back(
    preset: str, overrides: dict[str, Any], digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU each of these waits for the device."""
    config = tiny(preset, **overrides)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    step_config = StepConfig.of(config, state, "fp32", config.total_images(digits.count))

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("a round waits for the device")

    for name in READING:
        monkeypatch.setattr(Tensor, name, refuse)
    with pytest.raises(AssertionError, match="waits"):
        bool(state.sums.norms["discriminator"])
    for _ in range(3):
        run_round(state, step_config, log_gradients=True)
