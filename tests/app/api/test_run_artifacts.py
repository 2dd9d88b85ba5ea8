"""What a run leaves behind, over HTTP."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import av
import pytest
from PIL import Image

from models.artifacts.attempts import Attempt, kimg_name
from models.artifacts.events import EventWriter
from models.artifacts.json_lines import append_line
from models.config.training import TrainingConfig
from models.networks import build_generator
from models.scores import Evaluation, Score
from models.store.weights import generator_bytes
from tests.fixtures.runs import Harness, tick, write_snapshot, write_tick


@pytest.fixture
def run_id(harness: Harness) -> str:
    return harness.train(model="leaves", overrides={"generator.network.hidden": [8]})


@pytest.fixture
def attempt(harness: Harness, run_id: str) -> Attempt:
    return harness.attempt(run_id, harness.claim(run_id).token)


def weights(harness: Harness, run_id: str) -> bytes:
    run = harness.app_state.records.get_run(run_id)
    assert run is not None
    return generator_bytes(build_generator(TrainingConfig.model_validate(run.config).generator_config()))


def test_ticks_are_one_history(harness: Harness, run_id: str, attempt: Attempt) -> None:
    for images in (1000, 2000, 3000):
        write_tick(attempt, images)
    write_tick(harness.attempt(run_id, 2, start_images=2000), 2500)
    items = harness.http.get(f"/train/{run_id}/ticks").json()["items"]
    assert [item["images"] for item in items] == [1000, 2000, 2500]


def test_ticks_as_csv(harness: Harness, run_id: str, attempt: Attempt) -> None:
    write_tick(attempt, 1000)
    answer = harness.http.get(f"/train/{run_id}/ticks", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (rows[0]["images"], rows[0]["loss_g"]) == ("1000", "0.9")
    assert harness.http.get(f"/train/{run_id}/ticks", params={"format": "xls"}).status_code == 422


def test_loss_chart_is_drawn_once_per_tick(harness: Harness, run_id: str, attempt: Attempt) -> None:
    empty = harness.http.get(f"/train/{run_id}/losses.png")
    write_tick(attempt, 1000)
    chart = harness.http.get(f"/train/{run_id}/losses.png", headers={"if-none-match": empty.headers["etag"]})
    assert chart.status_code == 200
    assert Image.open(io.BytesIO(chart.content)).format == "PNG"
    known = {"if-none-match": chart.headers["etag"]}
    assert harness.http.get(f"/train/{run_id}/losses.png", headers=known).status_code == 304


def test_snapshots_are_listed_in_pages_and_shown(harness: Harness, run_id: str, attempt: Attempt) -> None:
    write_snapshot(attempt, 0)
    write_snapshot(attempt, 12_345, b"weights")
    first = harness.http.get(f"/train/{run_id}/snapshots", params={"limit": 1}).json()
    item = {"kimg": 0.0, "picture": f"/train/{run_id}/snapshots/0.0.png", "publishable": False, "scores": {}}
    assert first["items"] == [item]
    second = harness.http.get(f"/train/{run_id}/snapshots", params={"cursor": first["next"]}).json()
    assert (second["items"][0]["kimg"], second["items"][0]["publishable"], second["next"]) == (12.345, True, None)
    picture = harness.http.get(second["items"][0]["picture"])
    assert Image.open(io.BytesIO(picture.content)).getpixel((0, 0)) == 12_345 % 256
    known = {"if-none-match": picture.headers["etag"]}
    assert harness.http.get(second["items"][0]["picture"], headers=known).status_code == 304


@pytest.mark.parametrize(("kimg", "status"), [("1", 404), ("nan", 404), ("x", 422), ("..%2F..%2Fx", 404)])
def test_snapshot_that_was_not_taken(harness: Harness, run_id: str, kimg: str, status: int) -> None:
    assert harness.http.get(f"/train/{run_id}/snapshots/{kimg}.png").status_code == status


def test_real_images_are_those_of_the_newest_attempt(harness: Harness, run_id: str, attempt: Attempt) -> None:
    assert harness.http.get(f"/train/{run_id}/real.png").status_code == 404
    for number, each in enumerate((attempt, harness.attempt(run_id, 2)), start=1):
        Image.new("L", (8, 8), number).save(each.real)
    picture = harness.http.get(f"/train/{run_id}/real.png")
    assert Image.open(io.BytesIO(picture.content)).getpixel((0, 0)) == 2
    known = {"if-none-match": picture.headers["etag"]}
    assert harness.http.get(f"/train/{run_id}/real.png", headers=known).status_code == 304


def frames_of(film: bytes, film_format: str) -> int:
    if film_format != "mp4":
        image: Any = Image.open(io.BytesIO(film))
        return int(image.n_frames)
    with av.open(io.BytesIO(film), "r") as container:
        return len(list(container.decode(video=0)))


@pytest.mark.parametrize(
    ("film_format", "media_type"), [("webp", "image/webp"), ("gif", "image/gif"), ("mp4", "video/mp4")]
)
def test_timelapse_shows_every_snapshot(
    harness: Harness, run_id: str, attempt: Attempt, film_format: str, media_type: str
) -> None:
    assert harness.http.get(f"/train/{run_id}/timelapse").status_code == 404
    for images in (0, 1000, 2000):
        write_snapshot(attempt, images)
    answer = harness.http.get(f"/train/{run_id}/timelapse", params={"format": film_format, "fps": 5})
    assert answer.headers["content-type"] == media_type
    assert frames_of(answer.content, film_format) == 3


def test_log_is_given_whole_or_from_its_end(harness: Harness, run_id: str, attempt: Attempt) -> None:
    assert harness.http.get(f"/train/{run_id}/log").text == ""
    attempt.log.write_text("".join(f"line {number}\n" for number in range(30_000)))
    harness.attempt(run_id, 2).log.write_text("last words\n")
    whole = harness.http.get(f"/train/{run_id}/log")
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.text.startswith("--- attempt 1\nline 0\n")
    assert whole.text.endswith("line 29999\n--- attempt 2\nlast words\n")
    tail = harness.http.get(f"/train/{run_id}/log", params={"tail": 3}).text
    assert tail == "--- attempt 1\nline 29998\nline 29999\n--- attempt 2\nlast words\n"
    assert len(harness.http.get(f"/train/{run_id}/log", params={"tail": 20_001}).text.splitlines()) == 20_003


def test_snapshot_is_published_once_and_served(harness: Harness, run_id: str, attempt: Attempt) -> None:
    write_snapshot(attempt, 5000, weights(harness, run_id))
    answer = harness.http.post(f"/train/{run_id}/publish", json={"kimg": 5})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/models/leaves@1"
    assert answer.json() == {"model": "leaves", "version": 1, "kimg": 5.0, "already": False}
    again = harness.http.post(f"/train/{run_id}/publish", json={"kimg": 5.0})
    assert (again.status_code, again.json()["version"], again.json()["already"]) == (200, 1, True)
    assert harness.read(run_id)["published"] == ["leaves@1"]
    manifest = harness.http.get("/models/leaves@1").json()
    assert manifest["provenance"]["run"] == run_id
    painted = harness.http.get("/samples", params={"model": "leaves@1", "seed": 1})
    assert (painted.status_code, painted.headers["x-atelier-model"]) == (200, "leaves@1")


def test_a_published_snapshot_carries_its_scores_and_a_card(harness: Harness, run_id: str, attempt: Attempt) -> None:
    write_snapshot(attempt, 5000, weights(harness, run_id))
    score = Score(value=41.5, protocol="a test's", baseline=1.5)
    evaluation = Evaluation(images=5000, primary="sliced_wasserstein", scores={"sliced_wasserstein": score})
    (attempt.snapshots / "000005.000.json").write_text(evaluation.model_dump_json())
    EventWriter(attempt).append("score", evaluation.event())

    expected = {"sliced_wasserstein": score.model_dump(mode="json")}
    assert harness.read(run_id)["scores"] == expected
    assert harness.http.get(f"/train/{run_id}/snapshots").json()["items"][0]["scores"] == expected
    version = harness.http.post(f"/train/{run_id}/publish", json={"kimg": 5}).json()["version"]
    ref = f"leaves@{version}"
    assert harness.http.get(f"/models/{ref}").json()["scores"] == expected
    assert harness.http.get("/models/leaves").json()["aliases"]["best"] == version
    card = harness.http.get(f"/models/{ref}/card.md")
    assert card.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "| sliced_wasserstein | 41.5 | 1.5 | lower | a test's |" in card.text
    missing = harness.http.get(f"/models/{ref}/neighbours.png")
    assert (missing.status_code, missing.json()["detail"]) == (404, f"{ref} was published without neighbours.png")


def test_scores_that_a_rollback_has_undone_are_not_told(harness: Harness, run_id: str, attempt: Attempt) -> None:
    for images, value in ((7000, 40.0), (8000, 900.0)):
        write_snapshot(attempt, images)
        score = Score(value=value, protocol="a test's")
        evaluation = Evaluation(images=images, primary="sliced_wasserstein", scores={"sliced_wasserstein": score})
        (attempt.snapshots / f"{kimg_name(images)}.json").write_text(evaluation.model_dump_json())
        EventWriter(attempt).append("score", evaluation.event())
    attempt.roll_back(7500, 8500)
    assert harness.read(run_id)["scores"]["sliced_wasserstein"]["value"] == 40.0


def test_publishing_what_is_not_kept(harness: Harness, run_id: str, attempt: Attempt) -> None:
    write_snapshot(attempt, 5000)
    thinned = harness.http.post(f"/train/{run_id}/publish", json={"kimg": 5})
    assert thinned.status_code == 409
    assert "no longer kept" in thinned.json()["detail"]
    assert harness.http.post(f"/train/{run_id}/publish", json={"kimg": 6}).status_code == 404
    assert harness.http.post(f"/train/{run_id}/publish", json={}).status_code == 422
    assert json.loads(harness.http.get("/models").text)["items"] is not None


def test_a_run_that_went_back_shows_one_history_and_says_why(harness: Harness) -> None:
    run_id = harness.train()
    attempt = harness.attempt(run_id)
    for images in (1000, 2000, 3000):
        append_line(attempt.ticks, tick(images, sentence=f"At {images}."))
        write_snapshot(attempt, images)
    attempt.roll_back(1000, rolled_back_from=3000)
    reasons = ["At 3 kimg a loss is no longer a finite number.", "The run was taken back."]
    EventWriter(attempt).append("health", {"verdict": "rolled_back", "reasons": reasons, "rolled_back_to": 1.0})
    run = harness.read(run_id)
    assert run["health"] == {"verdict": "rolled_back", "reasons": reasons, "sentence": "At 1000."}
    assert run["progress"]["kimg"] == 1
    assert [item["kimg"] for item in harness.http.get(f"/train/{run_id}/ticks").json()["items"]] == [1.0]
    assert [item["kimg"] for item in harness.http.get(f"/train/{run_id}/snapshots").json()["items"]] == [1.0]
