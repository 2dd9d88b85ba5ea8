"""The projected discriminator: its losses against a plain reference, and its place in a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, relu

from models.artifacts.history import read_ticks
from models.config import projection
from models.config.requests import ConfigError
from models.config.resources import memory_bytes, operations
from models.config.sections import Projected
from models.networks.projected import Heads, Mixing
from tests.worker.training.attempts import Attempts, after
from tests.worker.training.tiny import PROJECTED, tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.frozen.efficientnet import EfficientNet, load
from worker.training.methods.method import StepState
from worker.training.methods.projected import ProjectedObjective
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
SECTION = Projected(input_size=32, strides=(4, 8), channels=8)


def start(digits: Prepared, slices: int = 1, **overrides: Any) -> tuple[TrainingState, StepConfig]:
    config = tiny("quick-28", **{**PROJECTED, **overrides})
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    return state, StepConfig.of(config, state, "fp32", config.total_images(digits.count), slices=slices)


def tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in network.state_dict().values()]


def same(before: list[Tensor], network: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))


# Everything spelled out for two scales: features, mixing from coarse to fine, weights and batches normalised.
def reference_logits(state: StepState, images: Tensor) -> list[Tensor]:
    network, mixing, heads = state.frozen["features"], state.modules["mixing"], state.modules["projected"].heads
    assert isinstance(network, EfficientNet)
    assert isinstance(heads, nn.ModuleList)
    fine, coarse = network.features(images, (4, 8), 32)
    weights = mixing.state_dict()
    coarse = conv2d(conv2d(coarse, weights["channels_1"]), weights["scales_1"], padding=1)
    above = interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    fine = conv2d(conv2d(fine, weights["channels_0"]) + above, weights["scales_0"], padding=1)
    return [_reference_head(head, x, strided) for head, x, strided in zip(heads, (fine, coarse), (1, 0), strict=True)]


def _reference_head(head: nn.Module, x: Tensor, halvings: int) -> Tensor:
    parts = head.state_dict()

    def convolution(x: Tensor, index: int, stride: int) -> Tensor:
        prefix = f"{index}.parametrizations.weight"
        original = parts[f"{prefix}.original"]
        u, v = parts[f"{prefix}.0.u"], parts[f"{prefix}.0.v"]
        return conv2d(x, original / (u @ original.flatten(1) @ v), parts[f"{index}.bias"], stride, padding=1)

    x = convolution(x, 0, 2 if halvings else 1)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    x = leaky_relu((x - mean) / (variance + 1e-5).sqrt(), 0.2)
    return convolution(x, 3, 1).flatten(1)


def test_losses_are_the_papers(digits: Prepared) -> None:
    state, step_config = start(digits)
    step_state = step_config.step_state(state)
    objective = ProjectedObjective(SECTION, step_state)
    real, fake = torch.rand(2, 16, 1, 28, 28) * 2 - 1
    found = objective.discriminator(real, fake)["loss_projected_d"]
    on_real, on_fake = reference_logits(step_state, real), reference_logits(step_state, fake)
    expected = sum(relu(1 - r).mean() + relu(1 + f).mean() for r, f in zip(on_real, on_fake, strict=True))
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-4)
    found = objective.generator(fake)["loss_projected_g"]
    torch.testing.assert_close(found.detach(), sum(-f.mean() for f in on_fake), rtol=1e-4, atol=1e-4)


def test_generator_minimises_both_losses(digits: Prepared) -> None:
    def gradient(weight: float) -> Tensor:
        state, step_config = start(digits, projected__weight=weight)
        run_round(state, step_config, log_gradients=True)
        means = state.method.report(state.sums.take(), state.buffers, 0.0)
        assert means["gradient_g"] is not None
        assert means["gradient_projected"]
        return torch.tensor(means["gradient_g"])

    assert gradient(100.0) > 10 * gradient(0.01)


def test_heads_learn_and_what_is_frozen_stays(digits: Prepared) -> None:
    state, step_config = start(digits)
    heads, mixing, features = (
        tensors(network) for network in (state.modules["projected"], state.modules["mixing"], state.frozen["features"])
    )
    run_round(state, step_config)
    assert not same(heads, state.modules["projected"])
    assert same(mixing, state.modules["mixing"])
    assert same(features, state.frozen["features"])
    kept = state.copy().tensors
    assert {name.partition(".")[0] for name in kept} >= {"mixing", "projected", "projected_optimizer"}
    assert not any(name.startswith("features") for name in kept)


def test_mixing_is_that_of_the_seed(digits: Prepared) -> None:
    (first, _), (again, _) = start(digits), start(digits)
    assert same(tensors(first.modules["mixing"]), again.modules["mixing"])


def test_slices_add_up_to_the_whole_batch_but_for_batch_statistics(digits: Prepared) -> None:
    kept = []
    for slices in (1, 4):
        state, step_config = start(digits, slices)
        # Running statistics are the same for every slice.
        for network in state.modules.values():
            network.eval()
        run_round(state, step_config)
        kept.append(state.copy().tensors)
    whole, sliced = kept
    assert torch.equal(whole["random.noise"], sliced["random.noise"])
    torch.testing.assert_close(whole["sums"], sliced["sums"], rtol=1e-3, atol=1e-5)
    names = [name for name in whole if name.startswith("projected.")]
    ours, theirs = (torch.cat([each[name].double().flatten() for name in names]) for each in (sliced, whole))
    assert (ours - theirs).abs().mean() < 1e-3 * theirs.abs().mean()


def test_stopped_training_goes_on_to_the_same_bytes(tmp_path: Path, digits: Prepared) -> None:
    config = tiny("quick-28", kimg=0.64, tick_kimg=0.16, **PROJECTED)
    calm, stopped = Attempts(tmp_path / "calm", digits), Attempts(tmp_path / "stopped", digits)
    assert calm.start(config).run()
    assert not stopped.start(config, after(10)).run()
    assert stopped.start(config).run()
    assert stopped.weights == calm.weights
    assert "loss_projected_d" in read_ticks(calm.run_dir)[-1]
    assert read_ticks(stopped.run_dir)[-1]["loss_projected_g"] == read_ticks(calm.run_dir)[-1]["loss_projected_g"]


def test_counts_are_those_of_the_layers() -> None:
    heads, mixing = Heads(SECTION), Mixing(SECTION)
    assert projection.parameters(SECTION) == sum(parameter.numel() for parameter in heads.parameters())
    assert {s: c for s, c in load("lite0", CPU).channels.items() if s > 2} == projection.FROZEN_CHANNELS
    mixed = mixing([torch.zeros(2, 24, 8, 8), torch.zeros(2, 40, 4, 4)])
    assert [tuple(each.shape) for each in mixed] == [(2, 8, 8, 8), (2, 8, 4, 4)]
    plain, projected = tiny("quick-28"), tiny("quick-28", **PROJECTED)
    assert operations(projected) > operations(plain)
    assert memory_bytes(projected, 0) > memory_bytes(plain, 0)


def test_json_without_it_has_no_such_field() -> None:
    assert "projected" not in tiny("quick-28").model_dump(mode="json")


@pytest.mark.parametrize(("setting", "value"), [("strides", [4, 16]), ("strides", [8, 4]), ("input_size", 36)])
def test_scales_that_do_not_meet_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"projected.{setting}"):
        tiny("quick-28", **{**PROJECTED, f"projected.{setting}": value})
