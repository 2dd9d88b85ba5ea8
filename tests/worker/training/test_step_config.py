"""Schedules of a training: learning rates, penalty, average, and the probability of augmentation."""

from __future__ import annotations

import pytest
import torch

from models.config.training import TrainingConfig
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")


def start(config: TrainingConfig, digits: Prepared) -> tuple[TrainingState, StepConfig]:
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    return state, StepConfig.of(config, state, "fp32", config.total_images(digits.count))


def test_the_average_forgets_by_images_whatever_the_ratio_of_steps(digits: Prepared) -> None:
    keeps = [
        start(tiny(generator__steps=steps, ema_half_life_kimg=10), digits)[1].decay("average", 1_000_000) ** steps
        for steps in (1, 2, 4)
    ]
    assert keeps == pytest.approx([0.5 ** (32 / 10_000)] * 3)


def test_penalised_steps_are_counted_over_the_whole_run(digits: Prepared) -> None:
    state, step_config = start(tiny("wgan-gp", penalty__every=4), digits)
    seen = []
    for _ in range(3):
        run_round(state, step_config)
        seen.append(int(state.sums.tensor[-1]))
    assert seen == [2, 3, 4]  # of steps 0 to 4, 5 to 9, 10 to 14


def test_rates_penalty_and_average_follow_their_cosines(digits: Prepared) -> None:
    state, step_config = start(tiny("r3gan-32", kimg=16), digits)
    found = []
    for images in (0, 8000, 16000, 32000):
        state.images = images
        weight = step_config.hyperparameters(state)["penalty_weight"]
        run_round(state, step_config)
        optimizer = state.optimizers["generator"]
        keep = step_config.decay("average", images)
        found.append((optimizer.lr, optimizer.betas[1], weight, keep))
    half, full = 0.5 * 0.03 * 16000, 0.03 * 16000
    assert found == [
        pytest.approx((2e-4, 0.9, 0.5, 0)),
        pytest.approx((1.25e-4, 0.945, 0.275, 0.5 ** (8 / half))),
        pytest.approx((5e-5, 0.99, 0.05, 0.5 ** (8 / full))),
        pytest.approx((5e-5, 0.99, 0.05, 0.5 ** (8 / full))),
    ]


def test_what_is_not_annealed_stays_as_it_is(digits: Prepared) -> None:
    state, step_config = start(tiny(kimg=1), digits)
    for _ in range(2):
        run_round(state, step_config)
        assert (state.optimizers["generator"].lr, state.optimizers["generator"].betas) == (2e-4, (0.9, 0.999))


def test_the_probability_of_changes_grows_over_the_run_or_stays(digits: Prepared) -> None:
    found = []
    for control in ("cosine", "constant"):
        config = tiny(kimg=8, augment__policy=["color"], augment__p=0.4, augment__control=control)
        method = start(config, digits)[1].method
        found += [method.hyperparameters(images, 8000, 1.0)["augment_p"] for images in (0, 4000, 8000)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.4, 0.4, 0.4])
