"""Losses, penalties, augmentations and methods by name: what configurations accept, and what their schema says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.config.requests import ConfigError, TrainRequest, resolve
from models.config.training import TrainingConfig
from models.objectives.augmentations import AUGMENTATIONS
from models.objectives.losses import LOSSES, LossSpec
from models.objectives.methods import METHODS
from models.objectives.penalties import PENALTIES
from models.registry import Registry
from tests.fixtures import one_file_loss

REGISTRIES: list[Registry[Any]] = [LOSSES, PENALTIES, AUGMENTATIONS, METHODS]


@pytest.fixture
def loss() -> Iterator[LossSpec]:
    with one_file_loss.registered() as spec:
        yield spec


def schema_of(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = TypeAdapter(TrainingConfig).json_schema()["properties"][name]
    return properties


def test_losses_have_the_order_that_clients_know() -> None:
    assert LOSSES.names() == ("non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "relativistic")
    assert PENALTIES.names() == ("none", "gradient", "r1_r2", "r1")
    assert AUGMENTATIONS.names() == ("color", "translation", "cutout")
    assert METHODS.names() == ("adversarial",)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_specification_has_a_title_and_a_sentence(registry: Registry[Any]) -> None:
    for spec in registry:
        assert spec.title[0].isupper()
        assert spec.sentence.endswith(".")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match='there is a loss "hinge" already'):
        LOSSES.register(LOSSES.get("hinge"))


def test_penalties_that_losses_need_are_there() -> None:
    assert {loss.bounded_by for loss in LOSSES} - {None} <= set(PENALTIES.names())


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'non_saturating', 'minimax', .*or 'relativistic', got 'log'"):
        resolve(TrainRequest(preset="mlp-mnist", overrides={"loss": "log"}))
    with pytest.raises(ConfigError, match="Input should be 'adversarial', got 'magic'"):
        resolve(TrainRequest(preset="mlp-mnist", overrides={"method": "magic"}))
    with pytest.raises(ConfigError, match="'color', 'translation' or 'cutout', got 1"):
        resolve(TrainRequest(preset="small-data-64", dataset="mnist", overrides={"augment.policy": [1]}))


def test_a_loss_of_one_file_is_accepted_and_in_the_schema(loss: LossSpec) -> None:
    config = resolve(TrainRequest(preset="mlp-mnist", overrides={"loss": loss.name}))
    assert config.loss == "soft_margin"
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    schema = schema_of("loss")
    assert schema["enum"][-1] == "soft_margin"
    assert schema["x-enum-titles"][-1] == "Soft margin"
    assert schema["x-enum-descriptions"][-1] == loss.sentence


def test_a_loss_that_is_gone_is_refused_again(loss: LossSpec) -> None:
    config = resolve(TrainRequest(preset="mlp-mnist", overrides={"loss": loss.name}))
    LOSSES.unregister(loss.name)
    with pytest.raises(ValidationError, match="Input should be"):
        TrainingConfig.model_validate(config.model_dump())
    LOSSES.register(loss)


def test_the_usual_method_is_left_out_of_json() -> None:
    config = resolve(TrainRequest(preset="mlp-mnist", overrides={"method": "adversarial"}))
    assert config.method == "adversarial"
    assert "method" not in config.model_dump(mode="json")


def test_specifications_need_no_torch() -> None:
    script = (
        "import sys, models.objectives.augmentations, models.objectives.losses, models.objectives.penalties, "
        "models.config.auto, models.config.fit, models.families; print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
