"""The life cycle of a data set over HTTP and on the command line: upload, preparation, training, deletion."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli.main import atelier
from models.config import requests
from tests.fixtures.hostile import BAD_IMAGES, picture, zipped
from tests.fixtures.uploads import UploadServer
from worker.data import prepare
from worker.jobs.datasets import DatasetJobs
from worker.jobs.notifier import Notifier
from worker.settings import WorkerSettings

runner = CliRunner()


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadServer]:
    """A service and a worker thread that prepares its data sets."""
    folder = tmp_path_factory.mktemp("data")
    stopping = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(folder))
        upload_server = UploadServer(folder)
        patch.setenv("ATELIER_PORT", str(upload_server.port))
        settings = WorkerSettings(data_dir=folder, poll_seconds=0.1)
        jobs = DatasetJobs(upload_server.records, settings, Notifier("redis://127.0.0.1:1/0"), stopping)

        def work() -> None:
            while not stopping.wait(0.1):
                jobs.work("w")

        worker = threading.Thread(target=work)
        worker.start()
        yield upload_server
        stopping.set()
        worker.join()
        upload_server.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images in two classes, two of them unusable."""
    root = tmp_path_factory.mktemp("pictures") / "My Pets"
    for kind in ("cat", "dog"):
        (root / kind).mkdir(parents=True)
        for n in range(4):
            pixels = np.random.default_rng([n, ord(kind[0])]).integers(0, 256, (70, 90, 3), np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{n}.jpg")
    for name in ("cut.jpg", "pixel-bomb.png"):
        (root / "cat" / name).write_bytes(BAD_IMAGES[name][1]())
    (root / "notes.txt").write_text("not sent")
    return root


def test_folder_added_on_the_command_line_is_prepared_and_reported(harness: UploadServer, folder: Path) -> None:
    result = runner.invoke(atelier, ["datasets", "add", str(folder)])
    assert result.exit_code == 0, result.output
    assert "my-pets: 8 images, 2 classes, colour, 64 px, crop centre" in result.output
    assert "found: 1 too large, 1 truncated; see GET /datasets/my-pets/findings" in result.output
    assert '"cat/cut.jpg" cannot be read: image file is truncated' in result.output
    assert "train on it: atelier train --preset auto --dataset my-pets" in result.output
    listed = runner.invoke(atelier, ["datasets", "list"]).output
    assert [line.split()[:4] for line in listed.splitlines() if "my-pets" in line] == [["my-pets", "ready", "8", "2"]]


@pytest.fixture(scope="module")
def pets(harness: UploadServer, folder: Path) -> str:
    """The name of a data set that is ready."""
    result = runner.invoke(atelier, ["datasets", "add", str(folder), "--name", "pets", "--crop", "whole"])
    assert result.exit_code == 0, result.output
    return "pets"


def test_ready_set_has_counts_and_findings(harness: UploadServer, pets: str) -> None:
    view = harness.http.get(f"/datasets/{pets}").json()
    assert (view["state"], view["count"], view["size"], view["channels"]) == ("ready", 8, 64, 3)
    assert (view["classes"], view["class_counts"]) == (["cat", "dog"], {"cat": 4, "dog": 4})
    assert (view["crop"], view["proposal"]["crop"], view["options"]["crop"]) == ("whole", "centre", "whole")
    assert view["proposal"]["train"] == {"preset": "auto", "dataset": "pets"}
    assert view["left_out"] == 2
    assert [(item["file"], item["kind"]) for item in view["findings"]] == [
        ("cat/cut.jpg", "truncated"),
        ("cat/pixel-bomb.png", "too_large"),
    ]


def test_findings_come_in_pages(harness: UploadServer, pets: str) -> None:
    first = harness.http.get(f"/datasets/{pets}/findings", params={"limit": 1}).json()
    second = harness.http.get(f"/datasets/{pets}/findings", params={"limit": 1, "cursor": first["next"]}).json()
    assert [item["file"] for page in (first, second) for item in page["items"]] == ["cat/cut.jpg", "cat/pixel-bomb.png"]
    assert second["next"] is None


@pytest.mark.parametrize("name", ["preview.png", "mean.png"])
def test_pictures_of_a_ready_set_are_served(name: str, harness: UploadServer, pets: str) -> None:
    answer = harness.http.get(f"/datasets/{pets}/{name}")
    assert answer.headers["content-type"] == "image/png"
    Image.open(io.BytesIO(answer.content)).load()


def test_pictures_of_a_built_in_set_are_made_on_the_first_request(harness: UploadServer) -> None:
    answer = harness.http.get("/datasets/mnist-mini/preview.png")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert not harness.http.get("/datasets/mnist-mini").json()["pictures"]
    settings = harness.settings
    prepare("mnist-mini", 28, 1, datasets_dir=settings.datasets_dir, images_dir=settings.images_dir,
            prepared_dir=settings.prepared_dir)  # fmt: skip
    view = harness.http.get("/datasets/mnist-mini").json()
    assert (view["pictures"], view["class_counts"]["7"]) == (True, 600)
    with Image.open(io.BytesIO(harness.http.get("/datasets/mnist-mini/preview.png").content)) as sheet:
        assert sheet.mode == "L"


def dataset_error(harness: UploadServer, **request: object) -> str:
    answer = harness.http.post("/train", params={"dry_run": "true"}, json=request)
    assert answer.status_code == 422, answer.text
    error, *_ = answer.json()["errors"]
    assert error["loc"] == ["body", "dataset"]
    return str(error["msg"])


def test_run_of_a_larger_size_is_rejected(harness: UploadServer, pets: str) -> None:
    message = dataset_error(harness, preset="photos-128", dataset=pets)
    assert message.startswith('"pets" was prepared at 64 px and the preset "photos-128" trains at 128 px')
    assert "such as photos-64" in message


def test_grey_run_on_colour_images_is_rejected(harness: UploadServer, pets: str) -> None:
    message = dataset_error(harness, preset="dcgan-64", dataset=pets, overrides={"channels": 1})
    assert 'add "overrides": {"channels": 3}' in message


def test_run_on_an_unknown_set_is_rejected_and_known_ones_listed(harness: UploadServer, pets: str) -> None:
    message = dataset_error(harness, preset="dcgan-64", dataset="petz")
    assert "mnist-mini, stacked-mnist, " in message
    assert " pets, and folder:PATH" in message


def test_valid_run_is_estimated_with_the_sets_own_count(harness: UploadServer, pets: str) -> None:
    request = {"preset": "dcgan-64", "dataset": pets, "epochs": 80, "overrides": {"batch_size": 8}}
    answer = harness.http.post("/train", params={"dry_run": "true"}, json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["estimate"]["images"] == 640


def test_classes_of_a_conditional_run_are_those_of_the_set(harness: UploadServer, pets: str) -> None:
    request = {"preset": "dcgan-64", "dataset": pets, "overrides": {"conditional": True, "batch_size": 8}}
    answer = harness.http.post("/train", params={"dry_run": "true"}, json=request)
    assert answer.json()["config"]["classes"] == ["cat", "dog"]


def test_images_are_prepared_again_with_other_options(harness: UploadServer, pets: str) -> None:
    result = runner.invoke(atelier, ["datasets", "copy", pets, "small", "--size", "28"])
    assert result.exit_code == 0, result.output
    assert "small: 8 images, 2 classes, colour, 28 px, crop centre" in result.output
    assert harness.http.get(f"/datasets/{pets}").json()["size"] == 64
    assert harness.http.post(f"/datasets/{pets}/copy", json={"name": "small"}).status_code == 409
    assert harness.http.post(f"/datasets/{pets}/copy", json={"name": "mnist"}).status_code == 422
    assert harness.http.post("/datasets/nothing/copy", json={"name": "other"}).status_code == 404


def test_set_cannot_be_deleted_while_an_active_run_uses_it(harness: UploadServer, pets: str) -> None:
    config = requests.resolve(requests.TrainRequest(preset="dcgan-64", dataset=pets))
    run, _ = harness.records.create_run(config, {}, None)
    assert harness.http.delete(f"/datasets/{pets}").status_code == 409
    harness.records.cancel(run.id)
    result = runner.invoke(atelier, ["datasets", "delete", pets])
    assert (result.exit_code, result.output) == (0, "pets is deleted\n")
    assert harness.http.get(f"/datasets/{pets}").status_code == 404


def test_set_that_cannot_be_prepared_reports_the_reason(harness: UploadServer, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(zipped({"a.png": b"no image", "b.png": picture(size=(2, 2))}))
    result = runner.invoke(atelier, ["datasets", "add", str(tmp_path / "bad.zip")])
    assert result.exit_code == 1
    assert 'atelier: bad could not be prepared: no image can be used: "a.png" holds no picture' in result.output
    assert harness.http.post("/datasets/bad/copy", json={"name": "worse"}).status_code == 409
    assert "could not be prepared" in dataset_error(harness, preset="dcgan-64", dataset="bad")
