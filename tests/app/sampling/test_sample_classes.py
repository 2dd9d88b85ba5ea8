"""`class` of `GET /samples`, on a conditional model."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.latents import draw_labels
from tests.fixtures.models import TINY_CONDITIONAL, expected_images, write_version
from tests.fixtures.service import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("classes")
    write_version(folder / "models", "beasts", 1, TINY_CONDITIONAL, seed=4)
    with serving(folder, model_dir=folder / "models") as service:
        yield service


def images(service: Service, query: str) -> np.ndarray:
    answer = service.client.get(f"/samples?format=npy&model=beasts&seed=5&{query}")
    assert answer.status_code == 200, answer.text
    array: np.ndarray = np.load(io.BytesIO(answer.content), allow_pickle=False)
    return array


def assert_close(array: np.ndarray, label: int | None) -> None:
    expected = expected_images(TINY_CONDITIONAL, 4, 5, len(array), label)
    assert np.abs(array.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("wanted", ["1", "class 1", "class%201"])
def test_a_class_is_requested_by_label_or_by_name(service: Service, wanted: str) -> None:
    assert_close(images(service, f"n=6&class={wanted}"), 1)


def test_without_a_class_the_seed_draws_one_for_each_image(service: Service) -> None:
    array = images(service, "n=12")
    assert_close(array, None)
    assert np.array_equal(images(service, "n=5"), array[:5])


def test_classes_have_tags_of_their_own(service: Service) -> None:
    tags = {
        service.client.get(f"/samples?model=beasts&seed=5&n=2{wanted}").headers["ETag"]
        for wanted in ("", "&class=0", "&class=1")
    }
    assert len(tags) == 3


def test_a_zip_tells_each_images_class(service: Service) -> None:
    answer = service.client.get("/samples?format=zip&model=beasts&seed=5&n=9")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        listed = json.loads(archive.read("index.json"))["images"]
    drawn = draw_labels(5, np.arange(9), 3)
    assert [image["class"] for image in listed] == [f"class {label}" for label in drawn]


@pytest.mark.parametrize("wanted", ["3", "-1", "dog", "class", "", "1.0", "٣", "9" * 400])
def test_a_class_that_is_not_there_is_refused_with_those_that_are(service: Service, wanted: str) -> None:
    answer = service.client.get("/samples", params={"model": "beasts", "class": wanted})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["loc"] == ["query", "class"]
    assert error["msg"].endswith("there are 0 (class 0), 1 (class 1), 2 (class 2)")
    assert len(error["msg"]) < 300
