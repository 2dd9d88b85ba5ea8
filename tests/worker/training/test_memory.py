from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from models.config.training import TrainingConfig
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.devices import allocator
from worker.training.devices.allocator import OutOfMemory, is_out_of_memory, translate_oom
from worker.training.devices.graphs import with_device_scalars
from worker.training.devices.memory import fits, slices
from worker.training.failure import TrainingFailed
from worker.training.rounds import RunUpdates, run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
Start = tuple[TrainingState, Callable[[int], StepConfig]]


def start(config: TrainingConfig, digits: Prepared) -> Start:
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    step_config = partial(StepConfig.of, config, state, "fp32", config.total_images(digits.count))
    return state, lambda count: step_config(slices=count)


def give_room_for(images: int, state: TrainingState) -> None:
    """Let the discriminator ask for more memory than there is where it is shown more images at once."""

    def ask(_module: object, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) > images:
            torch.empty(1 << 60, dtype=torch.uint8)

    state.modules["discriminator"].register_forward_pre_hook(ask)


def test_a_real_refusal_of_memory_is_reported_from_other_errors() -> None:
    with pytest.raises(OutOfMemory, match="allocate memory"), translate_oom():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), translate_oom():
        torch.ones(2) @ torch.ones(3, 3)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())


@pytest.mark.parametrize("preset", ["mlp-mnist", "quick-28", "r3gan-28"])
@pytest.mark.parametrize("fitting", [True, False])
def test_a_round_on_trial_leaves_nothing_behind(preset: str, fitting: bool, digits: Prepared) -> None:
    """Whether it fits or breaks off in the discriminator's second step, after the first has moved it."""
    state, step_config = start(tiny(preset, discriminator__steps=2), digits)
    run_round(state, step_config(1))
    before = state.copy()
    seen = iter(range(1000))
    if not fitting:
        state.modules["discriminator"].register_forward_pre_hook(lambda *_: refuse() if next(seen) == 1 else None)
    assert fits(state, step_config(1)) == fitting
    after = state.copy()
    assert [name for name in before.tensors if not torch.equal(before.tensors[name], after.tensors[name])] == []
    assert after.values == before.values
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in state.modules["discriminator"].parameters()
    )


def refuse() -> None:
    raise MemoryError


def test_slices_are_halved_until_they_fit(digits: Prepared) -> None:
    state, step_config = start(tiny("mlp-mnist"), digits)  # real and generated images together: 64 of batches of 32
    give_room_for(17, state)
    assert slices(state, step_config) == 4
    assert slices(state, step_config, least=8) == 8


@pytest.mark.parametrize(("preset", "images"), [("mlp-mnist", 1), ("dcgan-28", 2)])
def test_slices_that_cannot_be_smaller_are_a_reason(preset: str, images: int, digits: Prepared) -> None:
    """Of one image batch normalisation makes nothing."""
    state, step_config = start(tiny(preset), digits)
    give_room_for(0, state)
    with pytest.raises(TrainingFailed, match=rf"cpu has not enough memory for {images} image\(s\) at a time"):
        slices(state, step_config)


def test_a_trial_plays_as_the_training_will(digits: Prepared) -> None:
    """Scalars on the device take Adam through several passes, which need memory beside each other."""
    state, step_config = start(tiny("r3gan-28"), digits)
    seen = list[bool]()

    def by(step_config: StepConfig) -> RunUpdates:
        performed = with_device_scalars(step_config, CPU)

        def watched(*arguments: Any, **settings: Any) -> None:
            performed(*arguments, **settings)
            seen.append(isinstance(state.optimizers["generator"].lr, Tensor))

        return watched

    assert slices(state, step_config, run=by) == 1
    assert seen == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_trial_finds_the_end_of_a_memory_that_is_granted_without_end(
    digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would kill a process that touched what it was granted."""
    monkeypatch.setattr(allocator, "available_memory", lambda: 1 << 29)
    state, step_config = start(tiny("mlp-mnist"), digits)
    touched = list[Tensor]()
    ask = state.modules["discriminator"].register_forward_pre_hook(lambda *_: touched.append(torch.empty(1 << 30)))
    assert not fits(state, step_config(1))
    ask.remove()
    assert fits(state, step_config(1))
    assert touched == []


def test_other_errors_of_a_trial_are_no_want_of_memory(digits: Prepared) -> None:
    state, step_config = start(tiny("mlp-mnist"), digits)
    state.modules["discriminator"].register_forward_pre_hook(lambda *_: torch.ones(2) @ torch.ones(3, 3))
    with pytest.raises(RuntimeError, match="shape"):
        fits(state, step_config(1))
