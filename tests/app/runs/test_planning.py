"""Every preset on every kind of data set, over HTTP: accepted, or refused with the field and a sentence that helps."""

from __future__ import annotations

from itertools import product
from typing import Any

import httpx
import pytest
from PIL import Image

from models.config import presets
from models.config.presets import Preset
from models.datasets.uploads import ValidationReport
from models.records import new_id
from tests.fixtures.runs import Harness

NORM, WIDTHS = "discriminator.network.norm", "generator.network.widths"
FIELDS = {"body.dataset", "body.overrides.batch_size"}


def upload(
    harness: Harness, name: str, size: int, channels: int, classes: int = 0, count: int = 5000
) -> ValidationReport:
    """Put a prepared data set into the records, as a background worker would."""
    report = ValidationReport.model_validate(
        {
            "count": count,
            "left_out": 0,
            "size": size,
            "channels": channels,
            "crop": "centre",
            "classes": {f"class {n}": count // classes for n in range(classes)},
            "findings": {},
            "proposal": {"size": size, "crop": "centre"},
            "options": {},
            "sha256": {},
        }
    )
    records = harness.app_state.records
    records.create_dataset(new_id(), name, {}, 1000)
    held = records.claim_dataset("w")
    assert held is not None
    records.finish_dataset(held.claim, report.model_dump(mode="json"))
    return report


def folder(harness: Harness, name: str, side: int, mode: str = "RGB", count: int = 70) -> str:
    """Put pictures into a folder; one of them is no picture, for not all of a folder need be."""
    place = harness.app_state.settings.images_dir / name
    place.mkdir(parents=True)
    for n in range(count - 1):
        Image.new(mode, (side + n, side)).save(place / f"{n}.png")
    (place / "broken.png").write_bytes(b"no picture")
    return f"folder:{name}"


def dry_run(harness: Harness, **request: Any) -> httpx.Response:
    return harness.http.post("/train", params={"dry_run": "true"}, json=request)


def refusals(answer: httpx.Response) -> dict[str, str]:
    """Return the error messages, each a whole sentence, by location."""
    assert answer.status_code == 422, answer.text
    errors = {".".join(map(str, error["loc"])): error["msg"] for error in answer.json()["errors"]}
    assert errors
    assert all(len(message) > 20 for message in errors.values()), errors
    return errors


def fits(
    preset: Preset, size: int, channels: int, classes: int, count: int, *, prepared: bool, is_folder: bool = False
) -> bool:
    """Return whether a preset's own table fits a data set. A folder is never known to be grey only."""
    if preset.name == presets.AUTO:
        return True
    training = preset.training
    size_fits = training["size"] <= size
    colours_fit = training["channels"] == channels if prepared else training["channels"] <= channels or is_folder
    labels_fit = classes > 0 or training.get("conditional") is not True
    return size_fits and colours_fit and labels_fit and training.get("batch_size", 64) <= count


def check(answer: httpx.Response, preset: Preset, dataset: str, *, accepted: bool) -> None:
    if accepted:
        assert answer.status_code == 200, (preset.name, dataset, answer.text)
        config = answer.json()["config"]
        assert (config["preset"], config["dataset"]) == (preset.name, dataset)
    else:
        assert set(refusals(answer)) <= FIELDS, (preset.name, dataset)


@pytest.mark.parametrize("count", [5000, 40, 1])
@pytest.mark.parametrize(("size", "channels"), [*product((28, 32, 64, 128), (1, 3))])
def test_every_preset_takes_the_uploads_that_it_fits_and_refuses_the_others(
    harness: Harness, size: int, channels: int, count: int
) -> None:
    for classes in (0, 2):
        name = f"set-{size}-{channels}-{count}-{classes}"
        upload(harness, name, size, channels, min(classes, count), count)
        for preset in presets.listed().values():
            accepted = count > 1 and fits(preset, size, channels, classes, count, prepared=True)
            check(dry_run(harness, preset=preset.name, dataset=name), preset, name, accepted=accepted)


@pytest.mark.parametrize(("side", "mode", "channels"), [(20, "RGB", 3), (40, "RGB", 3), (64, "L", 1), (300, "RGB", 3)])
def test_every_preset_takes_the_folders_that_it_fits_and_refuses_the_others(
    harness: Harness, side: int, mode: str, channels: int
) -> None:
    dataset = folder(harness, f"pictures-{side}", side, mode)
    for preset in presets.listed().values():
        accepted = side >= 28 and fits(preset, side, channels, 0, 70, prepared=False, is_folder=True)
        check(dry_run(harness, preset=preset.name, dataset=dataset), preset, dataset, accepted=accepted)


@pytest.mark.parametrize("preset", presets.listed().values(), ids=presets.listed())
def test_every_preset_takes_the_built_in_digits_if_they_are_large_and_coloured_enough(
    harness: Harness, preset: Preset
) -> None:
    accepted = fits(preset, 28, 1, 10, 6000, prepared=False)
    check(dry_run(harness, preset=preset.name, dataset="mnist-mini"), preset, "mnist-mini", accepted=accepted)


@pytest.mark.parametrize(
    ("request_", "where", "words"),
    [
        ({"preset": "dcgan-32"}, "dataset", "holds grey images and the preset"),
        ({"preset": "dcgan-64", "overrides": {"channels": 1}}, "dataset", "has images of 28 px"),
        ({"preset": "mlp-mnist", "overrides": {"batch_size": 1}}, "overrides.batch_size", "greater than or equal to 2"),
        ({"preset": "mlp-mnist", "dataset": "forty"}, "overrides.batch_size", "more than the 40 images of"),
        ({"preset": "mlp-mnist", "epochs": 0}, "epochs", "greater than 0"),
        ({"preset": "mlp-mnist", "kimg": -1}, "kimg", "greater than 0"),
        ({"preset": "mlp-mnist", "kimg": 2_000_000}, "kimg", "too many: at most 1,000,000"),
        ({"preset": "mlp-mnist", "epochs": 1_000_000}, "epochs", "6,000,000 kimg are too many"),
        ({"preset": "dcgan-28", "overrides": {"penalty.kind": "r1_r2"}}, f"overrides.{NORM}", "set none"),
        ({"preset": "mlp-mnist", "overrides": {"augment.control": "cosine"}}, "overrides.augment.policy", "name the"),
        ({"preset": "auto", "dataset": None}, "dataset", "has no data set of its own"),
        ({"preset": "auto", "model": "starter"}, "model", "choose another name"),
        ({"preset": "auto", "overrides": {"size": 64}}, "dataset", "has images of 28 px"),
        ({"preset": "auto", "overrides": {WIDTHS: [8]}}, f"overrides.{WIDTHS}", "name a preset"),
        ({"preset": "auto", "dataset": "unheard-of"}, "dataset", "unknown data set"),
    ],
)  # fmt: skip
def test_misfit_is_refused_where_it_can_be_mended(
    harness: Harness, request_: dict[str, Any], where: str, words: str
) -> None:
    if request_.get("dataset") == "forty":
        upload(harness, "forty", 28, 1, count=40)
    errors = refusals(dry_run(harness, **{"dataset": "mnist-mini", **request_}))
    assert words in errors[f"body.{where}"]


def test_more_devices_than_any_worker_owns_are_refused_while_one_is_there(harness: Harness) -> None:
    request = {"preset": "mlp-mnist", "dataset": "mnist-mini", "overrides": {"devices": 4}}
    assert dry_run(harness, **request).status_code == 200
    records = harness.app_state.records
    records.worker_seen("w1", "here", 1, 2, "train,background")
    records.worker_seen("w2", "here", 2, 8, "background")
    errors = refusals(dry_run(harness, **request))["body.overrides.devices"]
    assert "requests 4 devices and no worker here owns more than 2" in errors
    records.worker_seen("w3", "there", 3, 4, "train")
    assert dry_run(harness, **request).status_code == 200


def test_what_auto_would_choose_is_told_with_its_reasons_and_what_the_worker_decides(harness: Harness) -> None:
    answer = dry_run(harness, preset="auto", dataset="mnist-mini", kimg=100, overrides={"generator.lr": 0.003}).json()
    chosen, config = answer["chosen"], answer["config"]
    assert (config["kimg"], config["generator"]["lr"], config["size"], config["model"]) == (
        100,
        0.003,
        28,
        "mnist-mini",
    )
    assert chosen["preset"] in presets.load()
    assert any("10 classes" in reason for reason in chosen["reasons"])
    assert {"preset", "generator"} <= set(chosen["undecided"])
    plain = dry_run(harness, preset="mlp-mnist").json()
    assert plain["chosen"] is None
    unknown = ("images_per_second", "seconds", "time_source")
    assert {plain["estimate"][name] for name in unknown} == {None}


def test_folder_is_estimated_by_its_files(harness: Harness) -> None:
    dataset = folder(harness, "estimated", 40, count=70)
    errors = dry_run(harness, preset="auto", dataset=dataset, epochs=64).json()["estimate"]
    assert (errors["images"], errors["batches"]) == (70 * 64, 140)
    assert errors["memory_bytes"] > 70 * 32 * 32 * 3


def test_auto_run_waits_under_its_own_name(harness: Harness) -> None:
    run = harness.read(harness.train(preset="auto", epochs=None))
    assert (run["preset"], run["model"], run["resolved"]) == ("auto", "mnist-mini", {})
    listed = harness.http.get("/presets/auto").json()
    assert listed["title"]
    assert harness.http.get("/presets").json()["items"][0] == listed
