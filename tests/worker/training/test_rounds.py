from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.config.resolved import ComputePrecision
from models.config.sections import Penalty
from models.config.training import TrainingConfig
from models.objectives.augmentations import augment
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.methods import adversarial
from worker.training.methods.method import Noise, Update
from worker.training.rounds import run_round, run_update, to_float
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")


def start(
    config: TrainingConfig, digits: Prepared, precision: ComputePrecision = "fp32"
) -> tuple[TrainingState, StepConfig]:
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    return state, StepConfig.of(config, state, precision, config.total_images(digits.count))


def update_discriminator(state: TrainingState, step_config: StepConfig, *, regularised: bool = False) -> None:
    update, batch = Update("discriminator", regularised=regularised), state.batches.next()
    run_update(state, step_config, step_config.hyperparameters(state), update, batch)


def update_generator(state: TrainingState, step_config: StepConfig) -> None:
    run_update(state, step_config, step_config.hyperparameters(state), Update("generator", takes_images=False), None)


def figures(state: TrainingState) -> dict[str, float]:
    """Return the figures of a tick; those that are null are left out."""
    found = state.method.report(state.sums.take(), state.buffers, 0.0)
    return {name: value for name, value in found.items() if value is not None}


def weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def equal(before: list[Tensor], network: nn.Module) -> bool:
    return all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def calls(network: nn.Module) -> list[tuple[int, ...]]:
    """Collect the shapes of a network's inputs from now on."""
    shapes: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _module, inputs: shapes.append(tuple(inputs[0].shape)))
    return shapes


def test_pixels_span_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_float(pixels).tolist() == [-1.0, 1.0]


def test_each_network_moves_in_its_own_step_only(digits: Prepared) -> None:
    state, step_config = start(tiny(), digits)
    generator, discriminator = weights(state.modules["generator"]), weights(state.modules["discriminator"])
    update_discriminator(state, step_config)
    assert equal(generator, state.modules["generator"])
    assert not equal(discriminator, state.modules["discriminator"])
    discriminator = weights(state.modules["discriminator"])
    update_generator(state, step_config)
    assert not equal(generator, state.modules["generator"])
    assert equal(discriminator, state.modules["discriminator"])


def test_the_discriminator_collects_no_gradients_in_the_generators_step(digits: Prepared) -> None:
    state, step_config = start(tiny(), digits)
    frozen: list[bool] = []
    state.modules["generator"].register_forward_pre_hook(
        lambda _module, _inputs: frozen.append(
            not any(p.requires_grad for p in state.modules["discriminator"].parameters())
        )
    )
    run_round(state, step_config)
    assert frozen == [False, True]
    assert all(parameter.grad is None for parameter in state.modules["discriminator"].parameters())
    assert all(parameter.requires_grad for parameter in state.modules["discriminator"].parameters())


def test_real_and_generated_images_share_a_batch_where_there_is_no_batch_norm(digits: Prepared) -> None:
    state, step_config = start(tiny(), digits)
    shapes = calls(state.modules["discriminator"])
    update_discriminator(state, step_config)
    assert shapes == [(64, 1, 28, 28)]


def test_real_and_generated_images_are_apart_where_there_is_batch_norm(digits: Prepared) -> None:
    state, step_config = start(tiny("dcgan-28"), digits)
    shapes = calls(state.modules["discriminator"])
    update_discriminator(state, step_config)
    assert shapes == [(16, 1, 28, 28), (16, 1, 28, 28)]


def test_three_discriminator_steps_take_three_batches_and_count_them(digits: Prepared) -> None:
    state, step_config = start(tiny("minimax-k3"), digits)
    shapes = calls(state.modules["generator"])
    run_round(state, step_config)
    assert state.images == state.batches.position == 3 * 32
    assert len(shapes) == 4


def test_two_generator_steps_draw_fresh_latents_and_count_no_image(digits: Prepared) -> None:
    state, step_config = start(tiny(generator__steps=2), digits)
    drawn: list[Tensor] = []
    state.modules["generator"].register_forward_pre_hook(lambda _module, inputs: drawn.append(inputs[0]))
    run_round(state, step_config)
    assert state.images == 32
    assert len(drawn) == 3
    assert not torch.equal(drawn[1], drawn[2])


def test_a_uniform_prior_stays_within_one(digits: Prepared) -> None:
    state, _ = start(tiny("minimax-uniform"), digits)
    z = state.noise.latents(1000)
    assert z.min() < -0.9
    assert z.abs().max() <= 1


def test_latents_of_a_training_come_from_its_own_generator(digits: Prepared) -> None:
    first, _ = start(tiny(), digits)
    second, _ = start(tiny(), digits)
    torch.rand(7)
    assert torch.equal(first.noise.latents(4), second.noise.latents(4))


def test_seeds_that_differ_in_high_bits_give_different_weights(digits: Prepared) -> None:
    low, high = (start(tiny().model_copy(update={"seed": seed}), digits)[0] for seed in (1, 1 + (1 << 40)))
    assert not equal(weights(low.modules["generator"]), high.modules["generator"])


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_every_forward_pass_in_bf16_uses_the_weights_of_that_moment(side: str, digits: Prepared) -> None:
    """One autocast context around several updates would go on with bf16 copies of old weights."""
    config = tiny("mlp-leaky", generator__steps=2, discriminator__steps=2)
    state, step_config = start(config, digits, "bf16")
    network = state.modules["generator"] if side == "generator" else state.modules["discriminator"]
    seen: list[tuple[dict[str, Tensor], Tensor, Tensor]] = []
    network.register_forward_hook(
        lambda module, inputs, output: seen.append(
            (
                {name: tensor.clone() for name, tensor in module.state_dict().items()},
                inputs[0].detach(),
                output.detach(),
            )
        )
    )
    run_round(state, step_config)
    assert len(seen) == 4
    assert any(not torch.equal(seen[0][0][name], seen[-1][0][name]) for name in seen[0][0])
    network._forward_hooks.clear()
    for weights_then, inputs, output in seen:
        network.load_state_dict(weights_then)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(inputs), output)


@pytest.mark.parametrize("preset", ["mlp-mnist", "dcgan-28", "r3gan-32"])
def test_real_and_generated_images_are_judged_in_the_same_precision(preset: str, digits: Prepared) -> None:
    """Rounded ones would be told by their rounding."""
    state, step_config = start(tiny(preset), digits, "bf16")
    kinds: list[torch.dtype] = []
    state.modules["discriminator"].register_forward_pre_hook(lambda _module, inputs: kinds.append(inputs[0].dtype))
    run_round(state, step_config)
    assert set(kinds) == {torch.float32}


def test_bf16_and_fp32_agree_on_the_first_losses(digits: Prepared) -> None:
    means = []
    for precision in ("fp32", "bf16"):
        state, step_config = start(tiny(), digits, precision)
        run_round(state, step_config)
        means.append(figures(state))
    assert means[0]["loss_d"] == pytest.approx(means[1]["loss_d"], rel=0.02)
    assert means[0]["loss_g"] == pytest.approx(means[1]["loss_g"], rel=0.02)


@pytest.mark.parametrize(
    "preset",
    [
        "mlp-mnist",
        "minimax",
        "minimax-uniform",
        "minimax-k3",
        "least-squares",
        "hinge",
        "wgan-gp",
        "quick-28",
        "dcgan-28",
        "mlp-conditional",
        "dcgan-28-conditional",
    ],
)
def test_every_preset_learns_something_at_once(preset: str, digits: Prepared) -> None:
    config = tiny(preset)
    state, step_config = start(config, digits)
    losses: list[float] = []
    for rounds in (2, 60 // config.discriminator.steps):
        for _ in range(rounds):
            run_round(state, step_config)
        losses.append(figures(state)["loss_d"])
    assert losses[1] < losses[0]


def labels_seen(network: nn.Module) -> list[list[int]]:
    """Collect the labels that a network is told from now on."""
    seen: list[list[int]] = []
    network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[1].tolist()))
    return seen


@pytest.mark.parametrize("preset", ["mlp-conditional", "dcgan-28-conditional"])
def test_generated_images_are_made_and_judged_as_of_their_own_class(preset: str, digits: Prepared) -> None:
    state, step_config = start(tiny(preset), digits)
    real = Loader(digits, step_config.batch_size, 0, CPU).next().labels
    assert real is not None
    made, judged = labels_seen(state.modules["generator"]), labels_seen(state.modules["discriminator"])
    run_round(state, step_config)
    assert made[0] == real.tolist()
    assert [label for batch in judged[:-1] for label in batch] == real.tolist() * 2
    assert judged[-1] == made[1] != made[0]


def test_the_generators_labels_are_as_frequent_as_in_the_data(digits: Prepared) -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    drawn = Noise(tiny().latent, 3, CPU, labels).labels(20_000)
    assert drawn is not None
    assert drawn.float().mean().item() == pytest.approx(0.1, abs=0.01)


def test_networks_that_are_not_conditional_are_given_no_labels_and_draw_none(digits: Prepared) -> None:
    state, _ = start(tiny(), digits)
    before = state.noise.generator.get_state()
    assert state.noise.labels(8) is None
    assert torch.equal(state.noise.generator.get_state(), before)


def played(config: TrainingConfig, digits: Prepared, rounds: int = 1) -> list[Tensor]:
    """Return the discriminator's weights after some rounds."""
    state, step_config = start(config, digits)
    for _ in range(rounds):
        run_round(state, step_config)
    return weights(state.modules["discriminator"])


def test_a_penalty_taken_every_third_step_counts_three_times(digits: Prepared) -> None:
    config = tiny("wgan-gp", discriminator__steps=1)
    lazy, heavy = (
        config.model_copy(update={"penalty": Penalty(kind="gradient", weight=weight, every=every)})
        for weight, every in ((2, 3), (6, 1))
    )
    assert all(torch.equal(a, b) for a, b in zip(played(lazy, digits), played(heavy, digits), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(played(lazy, digits, 2), played(heavy, digits, 2), strict=True))


def test_the_penalty_is_separate_from_the_loss(digits: Prepared) -> None:
    state, step_config = start(tiny("wgan-gp"), digits)
    run_round(state, step_config)
    means = figures(state)
    assert means["penalty"] == pytest.approx(10, rel=0.1)  # at first the critic is nearly flat: 10 x (0 - 1)^2
    assert means["loss_d"] == means["loss_d_real"] + means["loss_d_fake"]
    plain, step_config = start(tiny("hinge"), digits)
    run_round(plain, step_config)
    assert "penalty" not in figures(plain)


def test_a_relativistic_generator_is_judged_against_fresh_images_of_the_same_classes(digits: Prepared) -> None:
    state, step_config = start(tiny("r3gan-32", conditional=True), digits)
    batches = Loader(digits, step_config.batch_size, 0, CPU)
    first, second = (batches.next().labels for _ in range(2))
    assert first is not None
    assert second is not None
    made, judged = labels_seen(state.modules["generator"]), labels_seen(state.modules["discriminator"])
    run_round(state, step_config)
    assert (state.images, state.batches.position) == (8, 16)
    assert made == [first.tolist(), second.tolist()]
    assert judged == [first.tolist() * 2, second.tolist(), second.tolist()]


def test_a_loss_over_pairs_has_no_halves(digits: Prepared) -> None:
    state, step_config = start(tiny("r3gan-32"), digits)
    run_round(state, step_config)
    means = figures(state)
    assert not {"loss_d_real", "loss_d_fake", "d_real"} & set(means)
    assert means["loss_d"] > 0
    assert "penalty" in means


@pytest.mark.parametrize(("precision", "penalised_dtype"), [("fp32", torch.float32), ("auto", torch.bfloat16)])
def test_a_penalised_step_runs_in_the_precision_that_was_set(
    precision: str, penalised_dtype: torch.dtype, digits: Prepared
) -> None:
    state, step_config = start(tiny("r3gan-32", penalty__every=2, penalty__precision=precision), digits, "bf16")
    seen: list[torch.dtype] = []
    state.modules["discriminator"].get_submodule("higher").register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.dtype)
    )
    for penalised in (True, False):
        update_discriminator(state, step_config, regularised=penalised)
    assert seen == [penalised_dtype, torch.bfloat16]


def test_a_penalty_through_half_precision_is_near_that_in_full(digits: Prepared) -> None:
    def penalty(precision: str) -> float:
        state, step_config = start(tiny("quick-28", penalty__precision=precision, precision="bf16"), digits, "bf16")
        update_discriminator(state, step_config, regularised=True)
        return figures(state)["penalty"]

    assert penalty("auto") == pytest.approx(penalty("fp32"), rel=0.05)


def test_r1_is_taken_at_real_images(digits: Prepared) -> None:
    config = tiny("quick-28", penalty__kind="r1", penalty__weight=3, conditional=False)
    state, step_config = start(config, digits)
    real = to_float(Loader(digits, config.batch_size, 0, CPU).next().images).requires_grad_()
    outputs = state.modules["discriminator"](real)
    squares = [torch.autograd.grad(output, real, retain_graph=True)[0].square().sum() for output in outputs]
    update_discriminator(state, step_config, regularised=True)
    assert figures(state)["penalty"] == pytest.approx(1.5 * float(torch.stack(squares).mean()), rel=1e-4)


def test_a_lazy_r1_and_r2_counts_as_often_as_it_was_left_out(digits: Prepared) -> None:
    config = tiny("r3gan-32")
    lazy, heavy = (
        config.model_copy(update={"penalty": Penalty(kind="r1_r2", weight=weight, every=every)})
        for weight, every in ((0.5, 8), (4, 1))
    )
    assert all(torch.equal(a, b) for a, b in zip(played(lazy, digits), played(heavy, digits), strict=True))


ALL = ["color", "translation", "cutout"]


@pytest.mark.parametrize("preset", ["dcgan-28", "mlp-mnist", "wgan-gp", "r3gan-32"])
def test_every_image_is_changed_before_it_is_judged(
    preset: str, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, step_config = start(tiny(preset, augment__policy=ALL), digits)
    changed: list[Tensor] = []

    def spy(*arguments: Any) -> Tensor:
        changed.append(augment(*arguments))
        return changed[-1]

    monkeypatch.setattr(adversarial, "augment", spy)
    judged: list[Tensor] = []
    state.modules["discriminator"].register_forward_pre_hook(lambda _module, inputs: judged.append(inputs[0]))
    run_round(state, step_config)
    assert len(changed) == len(judged)
    assert {id(images) for images in changed} == {id(images) for images in judged}


def test_the_generator_learns_through_the_changes(digits: Prepared) -> None:
    state, step_config = start(tiny("dcgan-28", augment__policy=ALL), digits)
    before = weights(state.modules["generator"])
    update_generator(state, step_config)
    assert not equal(before, state.modules["generator"])


def test_an_adapted_probability_moves_with_the_steps(digits: Prepared) -> None:
    config = tiny(augment__policy=ALL, augment__p=0.5, augment__control="adaptive")
    state, step_config = start(config, digits)
    for _ in range(3):
        run_round(state, step_config)
    assert float(state.buffers["confidence"][0]) == 0
    assert state.buffers["confidence"][2] == 3
    state.buffers["confidence"][1] = 3.0  # as sure as can be so far
    run_round(state, step_config)
    assert float(state.buffers["confidence"][0]) in (0, pytest.approx(4 * 32 / 500_000))
    assert state.buffers["confidence"][2] == 0


@pytest.mark.parametrize("preset", ["mlp-mnist", "quick-28"])
def test_the_norms_of_the_gradients_are_noted_in_a_logged_round_only(preset: str, digits: Prepared) -> None:
    state, step_config = start(tiny(preset), digits)
    run_round(state, step_config)
    means = figures(state)
    assert not {"gradient_d", "gradient_g"} & set(means)
    moved: list[float] = []

    def note(parameter: Tensor) -> None:
        assert parameter.grad is not None
        moved.append(float(parameter.grad.square().sum()))

    for network in (state.modules["discriminator"], state.modules["generator"]):
        squares = [
            parameter.register_post_accumulate_grad_hook(note)  # type: ignore[no-untyped-call]
            for parameter in network.parameters()
        ]
        assert squares
    count = len(list(state.modules["discriminator"].parameters()))
    run_round(state, step_config, log_gradients=True)
    means = figures(state)
    expected = sum(moved[:count]) ** 0.5, sum(moved[count:]) ** 0.5
    assert (means["gradient_d"], means["gradient_g"]) == pytest.approx(expected, rel=1e-5)
    assert [float(norm) for norm in state.sums.norms.values()] == [-1, -1]
