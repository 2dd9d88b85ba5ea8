"""What comes to `POST /datasets`: good archives are kept, hostile ones refused whole. No worker is there to prepare."""

from __future__ import annotations

import errno
import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.config import requests
from models.datasets.uploads import UploadFolder
from tests.fixtures.hostile import RED, REFUSED, entry, picture, tarred, zipped
from tests.fixtures.uploads import UploadServer
from tests.fixtures.waiting import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadServer]:
    app_state = UploadServer(tmp_path_factory.mktemp("data"))
    yield app_state
    app_state.close()


@pytest.fixture
def app_state(running: UploadServer) -> Iterator[UploadServer]:
    yield running
    running.clear()


def test_corpus_is_large() -> None:
    assert len(REFUSED) >= 40


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_archive_is_refused_and_leaves_nothing(name: str, app_state: UploadServer) -> None:
    answer = app_state.post(REFUSED[name]())
    assert answer.status_code == 422, answer.text
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", "file"]]
    assert app_state.left() == []
    assert app_state.records.list_datasets() == []


@pytest.mark.parametrize(
    "archive",
    [zipped({"cat/a.png": RED}), tarred("cat/a.png"), gzip.compress(tarred("cat/a.png")), entry("é/a.png")],
    ids=["zip", "tar", "tar.gz", "accents"],
)
def test_an_archive_of_images_is_kept_and_waits_to_be_prepared(archive: bytes, app_state: UploadServer) -> None:
    answer = app_state.post(archive, size="64", crop="whole")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == "/datasets/cats"
    view = answer.json()
    assert (view["name"], view["state"], view["options"]) == ("cats", "preparing", {"size": 64, "crop": "whole"})
    assert view == {
        key: value for key, value in app_state.http.get("/datasets/cats").json().items() if key != "findings"
    }
    (folder,) = app_state.left()
    assert (app_state.settings.uploads_dir / folder / "archive").stat().st_size == view["bytes"]


def test_a_tar_gz_of_two_members_is_unzipped_as_it_comes(app_state: UploadServer) -> None:
    whole = tarred(*(f"{n}.png" for n in range(20)))
    assert app_state.post(gzip.compress(whole[:3000]) + gzip.compress(whole[3000:])).status_code == 202
    assert (app_state.settings.uploads_dir / app_state.left()[0] / "archive").read_bytes() == whole


def test_the_uploads_are_listed_among_the_built_in_sets(app_state: UploadServer) -> None:
    app_state.post(zipped({"a.png": RED}))
    names = [item["name"] for item in app_state.http.get("/datasets").json()["items"]]
    assert names == ["cats", "fashion-mnist", "mnist", "mnist-mini", "stacked-mnist"]


def test_a_name_is_given_once(app_state: UploadServer) -> None:
    assert app_state.post(zipped({"a.png": RED})).status_code == 202
    answer = app_state.post(zipped({"a.png": RED}))
    assert (answer.status_code, len(app_state.left())) == (409, 1)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": "Cats"}, "name"),
        ({"name": "../cats"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "mnist"}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"size": "63"}, "size"),
        ({"size": "64 px"}, "size"),
        ({"crop": "middle"}, "crop"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_bad_field_is_refused_and_nothing_stays(fields: dict[str, str], where: str, app_state: UploadServer) -> None:
    answer = app_state.post(zipped({"a.png": RED}), **fields)
    assert answer.status_code == 422, answer.text
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", where]]
    assert app_state.left() == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", "multipart/form-data", 415),
        (b"x", "multipart/form-data; boundary=" + "b" * 400, 422),
        (b"no boundary", "multipart/form-data; boundary=b", 422),
        (b"--b\r\n", "multipart/form-data; boundary=b", 422),
        (
            b"--b\r\nContent-Disposition: form-data; name=name\r\n\r\ncats\r\n--b--",
            "multipart/form-data; boundary=b",
            422,
        ),
        (b"--b\r\nX: y\r\n\r\ncats\r\n--b--", "multipart/form-data; boundary=b", 422),
        (b"--b\r\n" + b"X: y\r\n" * 500, "multipart/form-data; boundary=b", 422),
        (b"--b\r\nX: " + b"y" * 100_000, "multipart/form-data; boundary=b", 422),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nPK', "multipart/form-data; boundary=b", 422),
    ],
)
def test_a_malformed_body_is_refused(content: bytes, kind: str, status: int, app_state: UploadServer) -> None:
    answer = app_state.http.post("/datasets", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert app_state.left() == []


def test_an_upload_that_breaks_off_leaves_nothing(app_state: UploadServer) -> None:
    head = (
        f"POST /datasets HTTP/1.1\r\nHost: 127.0.0.1:{app_state.port}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nPK'
    )
    with socket.create_connection(("127.0.0.1", app_state.port)) as client:
        client.sendall(head.encode())
        until(app_state.left, "the upload to begin", seconds=20)
    until(lambda: not app_state.left(), "the upload to be given up", seconds=20)


def test_too_large_an_upload_is_refused_whether_it_says_its_length_or_not(app_state: UploadServer) -> None:
    data = bytes(5 << 20)
    assert app_state.post(data).status_code == 413
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    answer = app_state.http.post("/datasets", content=iter([head, *[bytes(1 << 20)] * 5]), headers=kind)
    assert (answer.status_code, app_state.left()) == (413, [])


@pytest.mark.parametrize("settings", [{"uploads_quota_bytes": 100}, {"spare_bytes": 1 << 60}], ids=["quota", "disk"])
def test_without_room_an_upload_is_refused_with_507(settings: dict[str, int], tmp_path: Path) -> None:
    app_state = UploadServer(tmp_path, **settings)
    try:
        answer = app_state.post(zipped({"a.png": picture("BMP")}))
        assert (answer.status_code, app_state.left()) == (507, [])
        assert "room" in answer.json()["detail"] or "QUOTA" in answer.json()["detail"]
    finally:
        app_state.close()


def test_a_deleted_data_set_is_gone(app_state: UploadServer) -> None:
    app_state.post(zipped({"a.png": RED}))
    assert app_state.http.delete("/datasets/cats").status_code == 204
    assert app_state.left() == []
    assert app_state.http.get("/datasets/cats").status_code == 404
    assert app_state.http.delete("/datasets/cats").status_code == 404


def test_a_refused_deletion_leaves_nothing_behind(app_state: UploadServer) -> None:
    app_state.post(zipped({"a.png": RED}))
    (folder,) = app_state.left()
    run, _ = app_state.records.create_run(
        requests.resolve(requests.TrainRequest(preset="dcgan-64", dataset="cats")), {}, None
    )
    assert app_state.http.delete("/datasets/cats").status_code == 409
    assert not UploadFolder(app_state.settings.uploads_dir / folder).deleted.exists()
    app_state.records.cancel(run.id)


def test_a_copy_is_made_where_there_are_no_hard_links(app_state: UploadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here", str(self), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    data = zipped({"a.png": RED})
    app_state.post(data)
    assert app_state.http.post("/datasets/cats/copy", json={"name": "dogs"}).status_code == 202
    archives = [app_state.settings.uploads_dir / name / "archive" for name in app_state.left()]
    assert [path.read_bytes() for path in archives] == [data, data]


@pytest.mark.parametrize(
    ("size", "channels", "count", "request_"),
    [
        (28, 1, 300, {"preset": "auto", "dataset": "cats"}),
        (128, 3, 2001, {"preset": "auto", "dataset": "cats"}),
        (28, 1, 1, None),
    ],
)
def test_the_proposed_training_suits_size_colours_and_number(
    size: int, channels: int, count: int, request_: dict[str, object] | None, app_state: UploadServer
) -> None:
    app_state.post(zipped({"a.png": RED}))
    held = app_state.records.claim_dataset("w")
    assert held is not None
    report = {
        "count": count,
        "left_out": 0,
        "size": size,
        "channels": channels,
        "crop": "centre",
        "classes": {},
        "findings": {},
        "proposal": {"size": size, "crop": "centre"},
        "options": {},
        "sha256": {},
    }
    app_state.records.finish_dataset(held.claim, report)
    train = app_state.http.get("/datasets/cats").json()["proposal"]["train"]
    assert train == request_
    assert train is None or app_state.http.post("/train", params={"dry_run": "true"}, json=train).status_code == 200


def test_a_built_in_set_cannot_be_deleted(app_state: UploadServer) -> None:
    assert app_state.http.delete("/datasets/mnist").status_code == 409


@pytest.mark.parametrize("path", ["preview.png", "mean.png"])
@pytest.mark.parametrize("name", ["cats", "mnist", "dogs"])
def test_there_is_no_picture_before_a_set_is_prepared(path: str, name: str, app_state: UploadServer) -> None:
    app_state.post(zipped({"a.png": RED}))
    answer = app_state.http.get(f"/datasets/{name}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
