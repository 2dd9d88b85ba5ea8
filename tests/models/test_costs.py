"""What a training takes, by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from models.config.presets import TrainRequest, resolve
from models.config.resources import memory_bytes, operations
from models.config.training import TrainingConfig


def config(preset: str, **overrides: Any) -> TrainingConfig:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return resolve(TrainRequest(preset=preset, dataset="mnist", overrides=named))


def test_operations_of_the_plain_program_are_those_of_its_matrices() -> None:
    # 29.0 MFLOP by a count that leaves out what need not be computed: the first layers' way back to their inputs.
    assert 29e6 < operations(config("mlp-mnist")) < 36e6


def test_a_penalty_costs_what_it_is_taken_for() -> None:
    plain = operations(config("wgan-gp", loss="hinge", penalty__kind="none"))
    every, eighth = (operations(config("wgan-gp", loss="hinge", penalty__every=k)) for k in (1, 8))
    assert every - plain == pytest.approx(8 * (eighth - plain))


def test_more_steps_of_the_generator_cost_more_for_each_real_image() -> None:
    assert operations(config("dcgan-64", generator__steps=2)) > 1.3 * operations(config("dcgan-64"))


def test_memory_grows_with_the_batch_and_by_the_pixels_of_the_data() -> None:
    small, large = config("dcgan-64"), config("dcgan-64", batch_size=128)
    assert memory_bytes(large, 0) > 1.5 * memory_bytes(small, 0)
    assert memory_bytes(small, 1000) - memory_bytes(small, 0) == 1000 * 64 * 64 * 3
