from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.config.inputs import Latent
from models.config.networks import GeneratorConfig
from models.config.requests import TrainRequest, resolve
from models.config.resolved import Resolved, ResolvedRow
from models.config.training import TrainingConfig
from models.families.dcgan import DcganGenerator
from models.families.mlp import MlpDiscriminator, MlpGenerator


def config(**changes: Any) -> TrainingConfig:
    plain = resolve(TrainRequest(preset="mlp-mnist"))
    return TrainingConfig.model_validate({**plain.model_dump(), **changes})


def test_a_configuration_survives_json() -> None:
    assert TrainingConfig.model_validate_json(config().model_dump_json()) == config()


@pytest.mark.parametrize("lengths", [{"epochs": None, "kimg": None}, {"epochs": 1, "kimg": 1}])
def test_exactly_one_length_is_wanted(lengths: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of them"):
        config(**lengths)


@pytest.mark.parametrize("field", ["ema_half_life_kimg", "tick_kimg"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_infinities_and_nan_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        config(**{field: value})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        config(batchsize=3)


@pytest.mark.parametrize("name", ["", "Digits", "-a", "a/b", "..", "a" * 65, "a\n", "ä"])
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        config(model=name)


@pytest.mark.parametrize(
    ("lengths", "count", "images"),
    [
        ({"epochs": 100, "kimg": None}, 60_000, 6_000_000),
        ({"epochs": 1, "kimg": None}, 60_049, 60_000),
        ({"epochs": 1, "kimg": None}, 60_051, 60_100),
        ({"epochs": None, "kimg": 1.5}, 60_000, 1_500),
        ({"epochs": None, "kimg": 0.001}, 60_000, 100),
        ({"epochs": 1, "kimg": None}, 3, 100),
    ],
)
def test_lengths_are_whole_batches_and_at_least_one(lengths: dict[str, Any], count: int, images: int) -> None:
    assert config(**lengths).total_images(count) == images


def test_a_round_of_three_discriminator_steps_counts_three_batches() -> None:
    assert resolve(TrainRequest(preset="minimax-k3", kimg=1)).total_images(60_000) == 900


def test_a_generator_in_a_manifest_is_checked_before_it_is_built() -> None:
    with pytest.raises(ValidationError, match="parameters are too many"):
        GeneratorConfig(size=128, channels=3, latent=Latent(), network=MlpGenerator(hidden=(8192, 8192)))
    with pytest.raises(ValidationError, match=r"4 to 32 px takes 3 steps: give 3 widths, not 2"):
        GeneratorConfig(size=32, channels=3, latent=Latent(), network=DcganGenerator(widths=(8, 8)))


def test_a_generator_without_classes_is_written_as_before_there_were_any() -> None:
    plain = GeneratorConfig(size=28, channels=1, latent=Latent(), network=MlpGenerator())
    assert set(plain.model_dump(mode="json")) == {"size", "channels", "latent", "network"}
    conditional = plain.model_copy(update={"classes": 3})
    assert GeneratorConfig.model_validate_json(conditional.model_dump_json()) == conditional != plain


@pytest.mark.parametrize("changes", [{"conditional": True}, {"classes": ("cat", "dog")}])
def test_a_training_has_classes_where_it_is_conditional_and_only_there(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="conditional: is for data sets with labels"):
        config(**changes)


def test_both_networks_of_a_conditional_training_know_its_classes() -> None:
    conditional = config(conditional=True, classes=("cat", "dog"))
    assert (conditional.generator_config().classes, conditional.discriminator_config().classes) == (2, 2)


def test_tables_of_too_many_classes_are_refused() -> None:
    with pytest.raises(ValidationError, match="parameters are too many"):
        config(conditional=True, classes=tuple(map(str, range(100_000))), discriminator={
            **config().discriminator.model_dump(), "network": MlpDiscriminator(hidden=(1024,)),
        })  # fmt: skip


def test_rows_list_the_same_decisions_as_the_complete_value() -> None:
    assert set(ResolvedRow.__annotations__) == set(Resolved.model_fields)
