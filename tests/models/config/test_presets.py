from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.config.presets import load
from models.config.requests import ConfigError, TrainRequest, resolve
from models.config.sections import Penalty
from models.config.training import TrainingConfig
from models.datasets.folders import folder_info
from models.datasets.info import DatasetInfo
from models.families.mlp import MlpGenerator

PUBLISHED = {"mlp-mnist", "mlp-16", "mlp-leaky", "dcgan-128"}
VARIANTS = {"minimax", "minimax-uniform", "minimax-k3", "least-squares", "dcgan-28", "dcgan-32", "dcgan-64"}
LOSSES = {"hinge", "wgan-gp"}
MODERN = {"quick-28", "r3gan-28", "r3gan-32", "r3gan-64", "r3gan-128", "small-data-64", "small-data-128"}
ALL_CHANGES = {"color", "translation", "cutout"}
PHOTOS = {"photos-32", "photos-64", "photos-128", "photos-256"}
CONDITIONAL = {"mlp-conditional", "dcgan-28-conditional"}


def resolved(preset: str, overrides: dict[str, Any] | None = None, **fields: Any) -> TrainingConfig:
    return resolve(TrainRequest(preset=preset, overrides=overrides or {}, **{"dataset": "mnist", **fields}))


def pets(*classes: str, count: int = 1000, fewest: int | None = None) -> DatasetInfo:
    return DatasetInfo(name="pets", count=count, side=64, prepared=False, channels=3, classes=classes, fewest=fewest)


def errors_of(preset: str = "mlp-mnist", overrides: dict[str, Any] | None = None, **fields: Any) -> dict[Any, str]:
    with pytest.raises(ConfigError) as caught:
        resolved(preset, overrides, **fields)
    assert caught.value.errors
    return {error.loc: error.msg for error in caught.value.errors}


def test_every_preset_is_there_in_alphabetical_order_and_makes_a_configuration() -> None:
    assert set(load()) == PUBLISHED | VARIANTS | LOSSES | MODERN | PHOTOS | CONDITIONAL
    assert list(load()) == sorted(load())
    for name, preset in load().items():
        config = resolved(name)
        assert (config.preset, config.model) == (name, preset.model)
        assert preset.title
        assert preset.description.endswith(".")


def test_presets_need_no_torch() -> None:
    code = "import sys, models.config.presets; models.config.presets.load(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_mlp_mnist_is_as_published() -> None:
    config = resolved("mlp-mnist")
    assert config.generator.network.model_dump() == {"family": "mlp", "hidden": (256, 512, 1024)}
    expected = {"family": "mlp", "hidden": (1024, 512, 256), "slope": 0.0, "dropout": 0.3}
    assert config.discriminator.network.model_dump() == expected
    assert (config.latent.dim, config.latent.prior, config.loss) == (100, "normal", "non_saturating")
    assert (config.batch_size, config.epochs, config.kimg) == (100, 100, None)
    for side in (config.generator, config.discriminator):
        assert (side.lr, side.betas, side.steps) == (2e-4, (0.9, 0.999), 1)
    assert config.tick_kimg * 1000 / config.batch_size == 200


def test_mlp_16_runs_twice_as_long_with_a_grid_for_each_epoch() -> None:
    config = resolved("mlp-16")
    assert (config.epochs, config.snapshots, config.latent.dim) == (200, 200, 100)
    assert config.generator == resolved("mlp-mnist").generator
    assert config.discriminator == resolved("mlp-mnist").discriminator


def test_mlp_leaky_is_as_published() -> None:
    config = resolved("mlp-leaky")
    assert config.generator.network.model_dump() == {"family": "mlp", "hidden": (256, 512)}
    assert config.discriminator.network.model_dump() == {
        "family": "mlp", "hidden": (512, 256), "slope": 0.2, "dropout": 0.0,
    }  # fmt: skip
    assert (config.epochs, config.batch_size) == (100, 100)


def test_dcgan_128_is_as_published() -> None:
    config = resolved("dcgan-128")
    assert config.generator.network.model_dump() == {"family": "dcgan", "widths": (512, 256, 128, 64)}
    assert config.discriminator.network.model_dump() == {
        "family": "dcgan", "widths": (64, 128, 256, 512), "slope": 0.2, "norm": "batch",
    }  # fmt: skip
    assert (config.size, config.channels, config.batch_size, config.epochs) == (128, 3, 64, 250)
    assert (config.generator.steps, config.discriminator.steps) == (2, 1)
    for side in (config.generator, config.discriminator):
        assert (side.lr, side.betas) == (2e-4, (0.5, 0.999))


def test_the_minimax_variants_differ_in_what_they_are_named_after() -> None:
    plain = resolved("mlp-mnist")
    assert (resolved("minimax").loss, resolved("minimax").generator) == ("minimax", plain.generator)
    assert resolved("minimax-uniform").latent.prior == "uniform"
    assert resolved("minimax-k3").discriminator.steps == 3
    assert resolved("least-squares").loss == "least_squares"


def test_data_set_model_and_length_default_to_those_of_the_preset() -> None:
    config = resolve(TrainRequest(preset="mlp-mnist"))
    assert (config.dataset, config.model, config.epochs, config.seed) == ("mnist", "mlp-mnist", 100, 0)


def test_a_request_names_its_own_data_set_model_seed_and_length() -> None:
    config = resolved("mlp-mnist", dataset="folder:cats", model="cats", seed=2**63 - 1, kimg=1.5)
    assert (config.dataset, config.model, config.seed) == ("folder:cats", "cats", 2**63 - 1)
    assert (config.epochs, config.kimg) == (None, 1.5)
    assert resolved("dcgan-64", epochs=3).kimg is None


def test_both_lengths_at_once_are_refused() -> None:
    with pytest.raises(ValidationError, match="as epochs or as kimg, not both"):
        TrainRequest(preset="mlp-mnist", epochs=1, kimg=1)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    message = errors_of("mlp-mnits")[("preset",)]
    assert message.startswith('no preset is named "mlp-mnits": there are auto, dcgan-128,')


def test_a_preset_without_a_data_set_wants_one() -> None:
    assert errors_of("dcgan-128", dataset=None) == {
        ("dataset",): "the preset dcgan-128 has no data set of its own: name one"
    }


def test_the_starter_model_cannot_be_trained_over() -> None:
    assert "choose another name" in errors_of(model="starter")[("model",)]


def test_overrides_reach_every_depth() -> None:
    overrides = {"batch_size": 32, "generator.lr": 1e-3, "generator.betas": [0, 0.9], "generator.network.hidden": [8]}
    config = resolved("mlp-mnist", overrides)
    assert (config.batch_size, config.generator.lr, config.generator.betas) == (32, 1e-3, (0, 0.9))
    assert config.generator.network == MlpGenerator(hidden=(8,))
    assert config.discriminator == resolved("mlp-mnist").discriminator


def test_overrides_leave_the_preset_as_it_is() -> None:
    before = load()["mlp-mnist"].model_dump()
    resolved("mlp-mnist", {"generator.network.hidden": [8], "generator.network.family": "mlp"})
    assert load()["mlp-mnist"].model_dump() == before


def test_another_family_starts_from_its_own_defaults() -> None:
    families = {"discriminator.network.family": "mlp", "generator.network.family": "mlp"}
    config = resolved("dcgan-28", {"generator.network.hidden": [64], **families})
    assert config.generator.network == MlpGenerator(hidden=(64,))


def test_generator_and_discriminator_can_be_of_different_families() -> None:
    config = resolved("dcgan-28", {"generator.network.family": "mlp"})
    assert (config.generator.network.family, config.discriminator.network.family) == ("mlp", "dcgan")


def test_a_family_without_a_discriminator_is_refused_as_one() -> None:
    errors = errors_of("dcgan-28", {"discriminator.network.family": "fastgan"})
    assert "no such family: there are" in errors[("overrides", "discriminator.network.family")]


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    errors = errors_of(overrides={"generator.network.family": "style"})
    assert errors == {
        (
            "overrides",
            "generator.network.family",
        ): "no such family: there are 'mlp', 'dcgan', 'patch', 'r3gan', 'fastgan'"
    }


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("generator.learning_rate", "generator.lr"),
        ("epoch", "epochs"),
        ("generator.network.hiden", "generator.network.hidden"),
    ],
)
def test_an_unknown_override_is_refused_with_the_nearest_one(path: str, nearest: str) -> None:
    message = errors_of(overrides={path: 1})[("overrides", path)]
    assert message.startswith("is no setting: the nearest is ")
    assert nearest.split(".")[0] in message


@pytest.mark.parametrize("path", ["", ".", "generator..lr", "generator.lr.x", "__class__", "généráteur"])
def test_odd_paths_are_refused(path: str) -> None:
    assert "is no setting" in errors_of(overrides={path: 1})[("overrides", path)]


def test_a_group_of_settings_is_refused_with_its_parts() -> None:
    message = errors_of(overrides={"latent": 3})[("overrides", "latent")]
    assert message == "is a group of settings: override one of latent.dim, latent.prior"


def test_an_override_that_contains_another_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved("mlp-mnist", {"generator": 1, "generator.lr": 1e-3})
    assert 'contradicts the override "generator.lr": give one of the two' in str(caught.value)


@pytest.mark.parametrize("field", ["preset", "dataset", "model", "seed", "epochs", "kimg"])
def test_overrides_of_what_the_request_says_itself_are_refused(field: str) -> None:
    assert errors_of(overrides={field: 1}, epochs=5) == {
        ("overrides", field): f'use the field "{field}" of the request instead'
    }


def test_devices_that_cannot_share_a_batch_are_refused_when_it_is_asked_for() -> None:
    assert "batch_size=102" in errors_of(overrides={"devices": 3, "batch_size": 100})[("overrides", "devices")]
    assert resolve(TrainRequest(preset="mlp-mnist", overrides={"devices": 2})).devices == 2
    assert "set auto or off" in errors_of(overrides={"devices": 2, "compile": "on"})[("overrides", "compile")]


def test_every_wrong_override_is_told_at_once() -> None:
    errors = errors_of(overrides={"batch_size": 0, "generator.betas": [0.5, 2], "loss": "hinges", "latent.dim": None})
    assert set(errors) == {
        ("overrides", "batch_size"),
        ("overrides", "generator.betas", 1),
        ("overrides", "loss"),
        ("overrides", "latent.dim"),
    }
    assert errors[("overrides", "batch_size")] == "Input should be greater than or equal to 2, got 0"


@pytest.mark.parametrize("value", [True, "64", 64.5, [64], None, 10**300])
def test_values_of_another_type_are_never_converted(value: Any) -> None:
    assert ("overrides", "batch_size") in errors_of(overrides={"batch_size": value})


def test_a_setting_of_the_other_family_is_refused() -> None:
    errors = errors_of(overrides={"generator.network.widths": [8]})
    assert errors == {("overrides", "generator.network.widths"): 'generator.network of this family has no "widths"'}


def test_widths_that_do_not_fit_the_size_are_named_with_what_to_do() -> None:
    message = "7 to 28 px takes 2 steps: give 2 widths, not 4"
    assert errors_of("dcgan-128", {"size": 28}) == {
        ("overrides", "generator.network.widths"): message,
        ("overrides", "discriminator.network.widths"): message,
    }
    fitting = {"size": 28, "generator.network.widths": [32, 16], "discriminator.network.widths": [16, 32]}
    assert resolved("dcgan-128", fitting).size == 28


def test_networks_beyond_all_measure_are_refused() -> None:
    errors = errors_of(overrides={"generator.network.hidden": [8192] * 8})
    assert "477,070,096 parameters are too many" in errors[("overrides", "generator.network")]


@pytest.mark.parametrize("value", [{"lr": 1}, float("nan"), float("inf"), [[1]], "x" * 10_000, [1] * 1000])
def test_override_values_that_are_no_plain_setting_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TrainRequest(preset="mlp-mnist", overrides={"generator": value})


def test_nested_overrides_are_refused_with_a_hint() -> None:
    with pytest.raises(ValidationError, match="write nested settings with dots"):
        TrainRequest.model_validate({"preset": "mlp-mnist", "overrides": {"generator": {"lr": 1}}})


PATHS = [
    "size", "channels", "latent.dim", "latent.prior", "generator", "generator.lr", "generator.betas", "generator.steps",
    "generator.network", "generator.network.family", "generator.network.hidden", "generator.network.widths",
    "discriminator.network.family", "discriminator.network.slope", "discriminator.network.dropout", "loss", "epochs",
    "batch_size", "precision", "devices", "tick_kimg", "snapshots", "publish_every", "checkpoint_minutes",
    "conditional",
]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
SENSIBLE = st.sampled_from([0, 1, 2, 3, 28, 64, 0.5, "mlp", "dcgan", "minimax", "uniform"])
VALUES = SCALARS | SENSIBLE | st.lists(SCALARS | SENSIBLE, max_size=5)


@settings(deadline=None)
@given(
    preset=st.sampled_from(sorted(load())) | st.just("none"),
    overrides=st.dictionaries(st.sampled_from(PATHS) | st.text(max_size=20), VALUES, max_size=5),
)
def test_no_overrides_raise_anything_but_a_config_error(preset: str, overrides: dict[str, Any]) -> None:
    with suppress(ConfigError):
        config = resolved(preset, overrides)
        assert TrainingConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("conditional", "plain"), [("mlp-conditional", "mlp-mnist"), ("dcgan-28-conditional", "dcgan-28")]
)
def test_conditional_presets_differ_from_the_plain_ones_in_nothing_else(conditional: str, plain: str) -> None:
    config = resolved(conditional)
    assert config.classes == tuple("0123456789")
    own = {"preset": plain, "model": plain, "conditional": False, "classes": ()}
    assert TrainingConfig.model_validate({**config.model_dump(), **own}) == resolved(plain)


def test_any_preset_can_be_made_conditional() -> None:
    request = TrainRequest(preset="dcgan-64", dataset="folder:pets", overrides={"conditional": True})
    assert resolve(request, lambda _: pets("cats", "dogs")).classes == ("cats", "dogs")


@pytest.mark.parametrize(
    ("classes", "count", "fewest", "conditional"),
    [
        (0, 60_000, None, False),
        (1, 60_000, 60_000, False),
        (2, 400, 50, True),
        (2, 399, 50, False),
        (2, 400, 49, False),
        (100, 20_000, None, True),
        (101, 60_000, 500, False),
    ],
)
@pytest.mark.parametrize(("preset", "overrides"), [("quick-28", {}), ("mlp-mnist", {"conditional": "auto"})])
def test_classes_are_learned_apart_where_they_can_be_if_that_is_left_to_the_data_set(
    preset: str, overrides: dict[str, Any], classes: int, count: int, fewest: int | None, conditional: bool
) -> None:
    data = pets(*map(str, range(classes)), count=count, fewest=fewest)
    config = resolve(TrainRequest(preset=preset, dataset="pets", overrides=overrides), lambda _: data)
    assert (config.conditional, config.classes) == (conditional, data.classes if conditional else ())
    config = resolve(TrainRequest(preset=preset, dataset="pets", overrides={"conditional": False}), lambda _: data)
    assert (config.conditional, config.classes) == (False, ())


def test_a_conditional_training_without_labels_is_refused(tmp_path: Path) -> None:
    request = TrainRequest(preset="mlp-conditional", dataset="folder:pets")
    with pytest.raises(ConfigError, match='dataset: "folder:pets" has no labels, which a conditional training needs'):
        resolve(request, lambda _: pets())
    with pytest.raises(ConfigError, match='dataset: "folder:pets": there is no folder'):
        resolve(request, lambda name: folder_info(name, tmp_path))


def test_classes_come_from_the_data_set_alone() -> None:
    assert "is no setting" in errors_of("mlp-conditional", {"classes": ["cat"]})[("overrides", "classes")]


def test_wgan_gp_is_as_published() -> None:
    config = resolved("wgan-gp")
    assert (config.loss, config.penalty) == ("wasserstein", Penalty(kind="gradient", weight=10, every=1))
    assert (config.discriminator.steps, config.generator.steps) == (5, 1)
    for side in (config.generator, config.discriminator):
        assert (side.lr, side.betas) == (1e-4, (0, 0.9))


def test_a_critic_needs_a_penalty_and_no_batch_normalisation() -> None:
    assert errors_of("wgan-gp", {"penalty.kind": "none", "discriminator.network.norm": "batch"}) == {
        ("overrides", "penalty.kind"): "the Wasserstein loss has no bound without a penalty: set gradient"
    }
    message = errors_of("wgan-gp", {"discriminator.network.norm": "batch"})[("overrides", "discriminator.network.norm")]
    assert message == "a penalty needs each image judged by itself, and batch normalisation mixes them: set none"
    assert set(errors_of("dcgan-28", {"penalty.kind": "gradient"})) == {("overrides", "discriminator.network.norm")}
    assert resolved("mlp-mnist", {"penalty.kind": "gradient"}).penalty.weight == 10


@pytest.mark.parametrize(("preset", "gamma", "kimg"), [("r3gan-32", 0.5, 5000), ("r3gan-64", 2, 3000)])
def test_r3gan_is_as_published_but_smaller(preset: str, gamma: float, kimg: int) -> None:
    config = resolved(preset)
    assert (config.loss, config.latent.dim, config.kimg, config.batch_size) == ("relativistic", 64, kimg, 128)
    assert config.penalty == Penalty(kind="r1_r2", weight=gamma, weight_end=gamma / 10, every=1, precision="auto")
    for side in (config.generator, config.discriminator):
        assert (side.lr, side.lr_end, side.betas, side.beta2_end, side.steps) == (2e-4, 5e-5, (0, 0.9), 0.99, 1)
    assert config.ema_half_life_share == 0.03
    assert config.generator.network.model_dump()["widths"] == config.discriminator.network.model_dump()["widths"][::-1]


def test_small_data_is_augmented_by_all_means() -> None:
    augmentation = resolved("small-data-64").augment
    assert (set(augmentation.policy), augmentation.p, augmentation.control) == (ALL_CHANGES, 1, "constant")
    for preset in ("r3gan-32", "r3gan-64"):
        assert (resolved(preset).augment.p, resolved(preset).augment.control) == (0.3, "cosine")
    assert resolved("dcgan-64").augment.policy == ()


def test_adapted_augmentation_is_bounded_and_needs_an_output_whose_sign_tells() -> None:
    adaptive = {"augment.control": "adaptive"}
    assert set(errors_of("small-data-64", adaptive)) == {("overrides", "augment.p")}
    bounded = {**adaptive, "augment.p": 0.85}
    assert resolved("small-data-64", bounded).augment.control == "adaptive"
    message = errors_of("r3gan-32", adaptive)[("overrides", "augment.control")]
    assert message == "the sign of a relativistic output does not tell real from generated: set constant or cosine"
    assert set(errors_of("dcgan-64", bounded)) == {("overrides", "augment.policy")}
    assert set(errors_of("dcgan-64", {"augment.policy": ["colour"]})) == {("overrides", "augment.policy", 0)}


def test_quick_28_is_the_start_that_was_tried() -> None:
    config = resolved("quick-28")
    assert (config.loss, config.batch_size, config.latent.dim) == ("relativistic", 64, 64)
    assert config.penalty == Penalty(kind="r1_r2", weight=0.2, every=8)
    for side in (config.generator, config.discriminator):
        assert (side.network.family, side.lr, side.lr_end, side.betas) == ("patch", 4e-3, 1e-3, (0.5, 0.99))
    assert config.augment.policy == ()
