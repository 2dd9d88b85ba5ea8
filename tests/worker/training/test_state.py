from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.config.resolved import ComputePrecision
from models.config.training import TrainingConfig
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")


def fresh(config: TrainingConfig, digits: Prepared) -> TrainingState:
    return TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)


def play(
    state: TrainingState, config: TrainingConfig, rounds: int, precision: ComputePrecision = "fp32"
) -> TrainingState:
    step_config = StepConfig.of(config, state, precision, config.total_images(6000))
    for _ in range(rounds):
        run_round(state, step_config)
    return state


def everything(state: TrainingState) -> dict[str, Tensor]:
    return state.copy().tensors


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "preset", ["mlp-mnist", "dcgan-28", "mlp-conditional", "dcgan-28-conditional", "wgan-gp", "quick-28", "r3gan-32"]
)
def test_a_restored_state_goes_on_to_the_same_bytes(preset: str, precision: ComputePrecision, digits: Prepared) -> None:
    config = tiny(preset)
    state = play(fresh(config, digits), config, 6, precision)
    kept = state.copy()
    expected = everything(play(state, config, 6, precision))

    torch.manual_seed(99)
    restored = fresh(config.model_copy(update={"seed": 5}), digits)
    restored.batches = Loader(digits, config.batch_size, 0, CPU)
    restored.restore(kept.tensors, kept.values)
    assert restored.position == kept.position
    assert_same(everything(play(restored, config, 6, precision)), expected)


def test_what_was_captured_does_not_move_with_the_training(digits: Prepared) -> None:
    config = tiny()
    state = play(fresh(config, digits), config, 2)
    kept = state.copy()
    before = {name: tensor.clone() for name, tensor in kept.tensors.items()}
    play(state, config, 2)
    assert_same(kept.tensors, before)


def test_restored_moments_lie_in_memory_as_their_weights_do(digits: Prepared) -> None:
    """Fused Adam walks them flat: a contiguous moment beside a channels-last weight is wrong, without an error."""
    config = tiny("dcgan-28")
    kept = play(fresh(config, digits), config, 2).copy()
    restored = fresh(config, digits)
    restored.restore(kept.tensors, kept.values)
    moments = restored.optimizers["discriminator"].state
    assert any(not parameter.is_contiguous() for parameter in moments), "no weight is channels-last: nothing is tested"
    for parameter, moment in moments.items():
        assert moment["exp_avg"].stride() == moment["exp_avg_sq"].stride() == parameter.stride()


def test_a_restored_network_keeps_its_memory_layout(digits: Prepared) -> None:
    config = tiny("dcgan-28")
    state = fresh(config, digits)
    kept = state.copy()
    strides = [parameter.stride() for parameter in state.modules["generator"].parameters()]
    state.restore(kept.tensors, kept.values)
    assert [parameter.stride() for parameter in state.modules["generator"].parameters()] == strides


def test_a_state_from_before_the_first_step_can_be_restored(digits: Prepared) -> None:
    config = tiny()
    kept = fresh(config, digits).copy()
    other = fresh(config.model_copy(update={"seed": 5}), digits)
    other.restore(kept.tensors, kept.values)
    assert_same(everything(play(other, config, 3)), everything(play(fresh(config, digits), config, 3)))


def test_numbers_that_are_not_finite_are_named(digits: Prepared) -> None:
    state = fresh(tiny(), digits)
    assert state.copy().not_finite() == []
    with torch.no_grad():
        next(state.averages["average"].parameters()).fill_(torch.nan)
    assert state.copy().not_finite() == ["average.0.weight"]


def test_the_state_of_another_network_is_refused(digits: Prepared) -> None:
    kept = fresh(tiny(), digits).copy()
    with pytest.raises(RuntimeError, match="size mismatch"):
        fresh(tiny(generator__network__hidden=[16]), digits).restore(kept.tensors, kept.values)


def test_a_state_of_another_kind_of_device_goes_on_with_random_numbers_of_its_own(digits: Prepared) -> None:
    """A GPU's generator for noise has another state, and the GPU has one of its own."""
    config = tiny()
    kept = play(fresh(config, digits), config, 2).copy()
    gpus = {**kept.tensors, "random.noise": torch.zeros(16, dtype=torch.uint8)}
    gpus["random.cuda"] = gpus["random.noise"]
    ends = []
    for _ in range(2):
        restored = fresh(config, digits)
        restored.restore(gpus, kept.values)
        assert restored.position == kept.position
        networks = [name for name in kept.tensors if not name.startswith("random.")]
        found = everything(restored)
        assert [name for name in networks if not torch.equal(found[name], kept.tensors[name])] == []
        ends.append(everything(play(restored, config, 3)))
    assert_same(*ends)
    assert not torch.equal(ends[0]["random.noise"], everything(play(fresh(config, digits), config, 5))["random.noise"])


def test_schedules_go_on_where_they_were(digits: Prepared) -> None:
    config = tiny("r3gan-32", kimg=0.2)
    state = play(fresh(config, digits), config, 6)
    kept = state.copy()
    play(state, config, 1)
    restored = fresh(config, digits)
    restored.restore(kept.tensors, kept.values)
    play(restored, config, 1)
    optimizers = (state.optimizers["discriminator"], restored.optimizers["discriminator"])
    rates = {optimizer.lr for optimizer in optimizers}
    assert len(rates) == 1
    assert 5e-5 < rates.pop() < 2e-4
    assert_same(everything(restored), everything(state))


def test_an_adapted_probability_goes_on_where_it_was(digits: Prepared) -> None:
    config = tiny(augment__policy=["color", "cutout"], augment__p=0.8, augment__control="adaptive")
    state = fresh(config, digits)
    state.buffers["confidence"][0] = 0.3
    kept = play(state, config, 6).copy()
    expected = everything(play(state, config, 6))
    restored = fresh(config, digits)
    restored.restore(kept.tensors, kept.values)
    assert restored.buffers["confidence"][2] == 2
    found = everything(play(restored, config, 6))
    assert found["confidence"][0] != 0
    assert_same(found, expected)
