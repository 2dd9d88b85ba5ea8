"""What `preset=auto` chooses, over a matrix of data sets and devices."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import auto, fit
from models.config.auto import complete
from models.config.choice import DeviceKind, suggest_preset
from models.config.requests import ConfigError, TrainRequest
from models.config.resources import Device
from models.config.training import TrainingConfig
from models.datasets.info import DatasetInfo
from models.families.patch import PatchGenerator

CPU = Device(kind="cpu", cores=2, memory_bytes=8 << 30)
GPU = Device(kind="cuda", cores=8, memory_bytes=48 << 30)

DEVICE_KINDS: tuple[DeviceKind, ...] = ("cpu", "cuda")


def facts(side: int, channels: Any = 3, count: int = 50_000, prepared: bool = True, classes: int = 0) -> DatasetInfo:
    names = tuple(str(n) for n in range(classes))
    return DatasetInfo(name="pets", count=count, side=side, prepared=prepared, channels=channels, classes=names)


def chosen(data: DatasetInfo, device: Device, **request: Any) -> tuple[TrainingConfig, auto.Choice]:
    return complete(TrainRequest(preset="auto", dataset="pets", **request), data, device)


@pytest.mark.parametrize(
    ("data", "device", "preset", "size", "batch"),
    [
        (facts(28, 1, 60_000), CPU, "quick-28", 28, 64),
        (facts(28, 1, 60_000), GPU, "r3gan-28", 28, 128),
        (facts(28, 1, 500), GPU, "dcgan-28", 28, 64),
        (facts(28, 3), CPU, "photos-32", 28, 32),
        (facts(32, 3), CPU, "photos-32", 32, 32),
        (facts(32, 1), CPU, "quick-28", 32, 64),
        (facts(32, 3), GPU, "r3gan-32", 32, 128),
        (facts(32, 3, 300), GPU, "dcgan-32", 32, 64),
        (facts(64, 3, 400), CPU, "photos-64", 64, 32),
        (facts(64, 3, 400), GPU, "photos-64", 64, 32),
        (facts(64, 3, 10), GPU, "photos-64", 64, 8),
        (facts(64, 1, 400), GPU, "small-data-64", 64, 32),
        (facts(64, 3), CPU, "photos-64", 64, 32),
        (facts(64, 3), GPU, "r3gan-64", 64, 128),
        (facts(128, 3), CPU, "photos-64", 64, 32),
        (facts(100, 3), CPU, "photos-64", 64, 32),
        (facts(128, 1), CPU, "quick-28", 32, 64),
        (facts(128, 3, 400), GPU, "photos-128", 128, 32),
        (facts(128, 3), GPU, "r3gan-128", 128, 64),
        (facts(600, 3, prepared=False), GPU, "r3gan-128", 128, 64),
        (facts(600, 3, prepared=False), CPU, "photos-64", 64, 32),
        (facts(600, 3, 400, prepared=False), CPU, "photos-64", 64, 32),
        (facts(100, 3, 400, prepared=False), GPU, "photos-64", 64, 32),
    ],
)
def test_preset_size_and_batch_suit_images_and_device(
    data: DatasetInfo, device: Device, preset: str, size: int, batch: int
) -> None:
    config, choice = chosen(data, device)
    assert (choice.preset, config.size, config.channels, config.batch_size) == (preset, size, data.channels, batch)
    assert (config.preset, config.model) == ("auto", "pets")
    assert fit.conflicts(config, data) == []


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("prepared", [True, False])
def test_whatever_the_data_set_there_is_a_training_that_fits_with_a_sentence_for_each_choice(
    device: Device, prepared: bool
) -> None:
    counts, classes = (2, 9, 2000, 2001, 30_000), (0, 2, 10, 500)
    for side, channels, count, named in product((28, 32, 64, 128), (1, 3), counts, classes):
        data = facts(side, channels, count, prepared, named)
        config, choice = chosen(data, device)
        assert fit.conflicts(config, data) == []
        assert {"size", "preset", "augment", "batch_size", "kimg"} <= set(choice.reasons)
        for reason in choice.reasons.values():
            assert reason[0].isupper() or reason[0].isdigit() or reason.startswith(choice.preset)
            assert reason.endswith(".")


def test_classes_are_learned_apart_where_each_has_images_enough() -> None:
    config, choice = chosen(facts(28, 1, 60_000, classes=10), CPU)
    assert config.conditional
    assert config.classes == tuple("0123456789")
    assert "10 classes" in choice.reasons["conditional"]
    rare = facts(28, 1, 60_000, classes=10).model_copy(update={"fewest": 1})
    for few in (facts(64, 3, 1500, classes=10), facts(28, 1, 60_000, classes=101), rare):
        config, choice = chosen(few, CPU)
        assert not config.conditional
        assert "not learned separately" in choice.reasons["conditional"]


def test_few_images_are_changed_at_random_and_many_are_not() -> None:
    few, _ = chosen(facts(28, 1, 300), CPU)
    assert (few.augment.policy, few.augment.control) == (("translation", "cutout"), "constant")
    some, _ = chosen(facts(64, 3, 5000), CPU)
    assert (some.augment.policy, some.augment.control, some.augment.mirror) == (("translation",), "constant", "auto")
    many, _ = chosen(facts(32, 1, 50_000), CPU)
    assert many.augment.policy == ()


@pytest.mark.parametrize("data", [facts(64, 1, 300), facts(64, 1), facts(128, 1, 300)])
def test_the_brightness_of_grey_drawings_is_never_changed(data: DatasetInfo) -> None:
    for device in (CPU, GPU):
        config, _ = chosen(data, device)
        assert "color" not in config.augment.policy


def test_gamma_grows_with_the_third_power_of_the_size() -> None:
    small, _ = chosen(facts(28, 1), CPU)
    large, choice = chosen(facts(32, 1), CPU)
    assert isinstance(large.generator.network, PatchGenerator)
    assert large.penalty.weight == pytest.approx(small.penalty.weight * (32 / 28) ** 3, rel=0.05)
    assert "third power" in choice.reasons["penalty"]


def test_batch_is_halved_until_it_fits_the_memory() -> None:
    config, choice = chosen(facts(128, 3), GPU.model_copy(update={"memory_bytes": 4 << 30}))
    assert config.batch_size in (8, 16, 32)
    assert "would not fit into the memory of a GPU with 4 GB" in choice.reasons["batch_size"]


def test_length_on_a_cpu_is_what_it_does_in_an_hour() -> None:
    on_cpu, choice = chosen(facts(64, 3), CPU.model_copy(update={"cores": 1}))
    on_more, _ = chosen(facts(64, 3), CPU)
    on_gpu, _ = chosen(facts(64, 3), GPU)
    assert on_cpu.kimg is not None
    assert on_more.kimg == pytest.approx(2 * on_cpu.kimg, rel=0.05)
    assert on_gpu.kimg == 3000
    assert "an hour" in choice.reasons["kimg"]


def test_what_the_request_says_itself_counts_and_needs_no_reason() -> None:
    config, choice = chosen(
        facts(300, 3, prepared=False),
        GPU,
        model="cats",
        epochs=2,
        seed=7,
        overrides={"size": 64, "batch_size": 16, "generator.lr": 1e-3, "augment.p": 0.5},
    )
    assert (choice.preset, config.size, config.batch_size, config.epochs, config.kimg) == ("r3gan-64", 64, 16, 2, None)
    assert (config.model, config.seed, config.generator.lr, config.augment.p) == ("cats", 7, 1e-3, 0.5)
    assert not {"size", "batch_size", "kimg", "augment"} & set(choice.reasons)


def test_networks_of_another_family_have_no_widths_that_nobody_gave() -> None:
    family = {"generator.network.family": "mlp", "discriminator.network.family": "mlp"}
    for data in (facts(64), facts(28, 1)):
        assert auto.conflicts(TrainRequest(preset="auto", dataset="pets", overrides=family), data) == []
        config, _ = chosen(data, CPU, overrides=family)
        assert config.generator.network.family == "mlp"


def test_colours_are_refused_only_of_a_set_that_is_known_to_have_none() -> None:
    config, _ = chosen(facts(28, 3), CPU)
    grey = facts(28, 1, prepared=False)
    assert fit.conflicts(config, grey.model_copy(update={"name": "folder:pets"})) == []
    for known in (grey.model_copy(update={"name": "mnist"}), facts(28, 1)):
        (problem,) = fit.conflicts(config, known)
        assert "holds grey images" in problem.msg


def test_grey_is_trained_of_coloured_images_where_that_is_asked_for() -> None:
    config, choice = chosen(facts(28, 3, prepared=False), CPU, overrides={"channels": 1})
    assert (choice.preset, config.channels) == ("quick-28", 1)


@pytest.mark.parametrize(
    ("data", "overrides", "where", "words"),
    [
        (facts(28, 1, 1), {}, "dataset", "holds 1 image"),
        (facts(20, 3, prepared=False), {}, "dataset", "images of 20 px: they need at least 28"),
        (facts(64), {"batch_size": 0}, "batch_size", "greater than or equal to 2"),
        (facts(64), {"conditional": True}, "dataset", "has no labels"),
        (facts(32), {"generator.network.widths": [64, 32, 16]}, "generator.network.widths", "give"),
        (facts(64), {"nonsense": 1}, "nonsense", "is no setting"),
    ],
)
def test_what_would_not_fit_on_some_device_is_told(
    data: DatasetInfo, overrides: dict[str, Any], where: str, words: str
) -> None:
    request = TrainRequest(preset="auto", dataset="pets", overrides=overrides)
    errors = {item.loc[-1]: item.msg for item in auto.conflicts(request, data)}
    assert words in errors[where]
    refused = 0
    for device in auto.DEVICES:
        try:
            complete(request, data, device)
        except ConfigError:
            refused += 1
    assert refused


def test_settings_that_another_device_would_change_are_named() -> None:
    request, data = TrainRequest(preset="auto", dataset="pets"), facts(64)
    undecided = auto.undecided(request, data, *complete(request, data, CPU))
    assert {"preset", "generator", "kimg"} <= set(undecided)
    few = facts(64, count=400)
    assert "preset" not in auto.undecided(request, few, *complete(request, few, CPU))


@pytest.mark.parametrize(
    ("dataset", "model"),
    [("flowers", "flowers"), ("folder:cats", "cats"), ("folder:My Cats", "auto"), ("starter", "auto")],
)
def test_model_is_named_after_the_data_set_where_that_is_a_name(dataset: str, model: str) -> None:
    assert auto.model_name(dataset) == model


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("count", [400, 50_000])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_256_px_are_trained_where_somebody_asks_for_that(device: Device, count: int, channels: int) -> None:
    prepared, large = facts(256, channels, count), facts(300, channels, count, prepared=False)
    for data in (prepared, large):
        config, choice = chosen(data, device, overrides={"size": 256})
        assert (config.size, config.channels) == (256, channels)
        assert fit.conflicts(config, prepared) == []
        assert choice.preset == "photos-256" or "as deep as 256 px need them" in choice.reasons["networks"]
    config, _ = chosen(large, device)
    assert config.size <= 128


@settings(max_examples=150, deadline=None)
@given(
    side=st.integers(1, 4096),
    channels=st.sampled_from((1, 3)),
    count=st.integers(0, 100_000),
    prepared=st.booleans(),
    device=st.sampled_from((CPU, GPU)),
)
def test_there_is_an_answer_for_any_size(side: int, channels: int, count: int, prepared: bool, device: Device) -> None:
    data = facts(side, channels, count, prepared)
    if count < 2 or side < 28:
        with pytest.raises(ConfigError) as caught:
            chosen(data, device)
        assert [error.loc for error in caught.value.errors] == [("dataset",)]
        return
    config, _ = chosen(data, device)
    assert config.size <= side
    assert fit.conflicts(config, data) == []


@pytest.mark.parametrize(("size", "channels", "count"), list(product((28, 32, 64, 128), (1, 3), (300, 5000))))
def test_one_function_suggests_presets_with_a_device_and_without(size: int, channels: int, count: int) -> None:
    proposed = suggest_preset(size, channels, count)
    assert proposed is not None
    assert proposed.preset.training["size"] == size
    for kind in DEVICE_KINDS:
        suggested = suggest_preset(size, channels, count, kind)
        assert suggested is not None
        assert suggested.because


def test_no_preset_is_proposed_for_a_size_without_one() -> None:
    assert suggest_preset(256, 1, 5000) is None
