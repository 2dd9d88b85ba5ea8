"""Runs over HTTP: started, looked at, steered."""

from __future__ import annotations

from shutil import rmtree
from typing import Any

import httpx
import pytest
from PIL import Image

from models.artifacts.events import EventWriter
from models.config.training import TrainingConfig
from models.records import Claim
from tests.fixtures.runs import Harness, write_tick

BODY = {"preset": "mlp-mnist", "dataset": "mnist-mini"}


def errors(answer: httpx.Response) -> dict[str, str]:
    """Return the messages of a 422 by their dotted place."""
    assert answer.status_code == 422, answer.text
    return {".".join(map(str, error["loc"])): error["msg"] for error in answer.json()["errors"]}


def test_run_is_queued_and_located(harness: Harness) -> None:
    answer = harness.http.post("/train", json={"preset": "mlp-mnist"})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/train/{run['id']}"
    assert (run["state"], run["dataset"], run["model"]) == ("queued", "mnist", "mlp-mnist")
    assert run["progress"]["total_kimg"] == 6000.0
    assert run == harness.read(run["id"])


def test_new_run_has_exactly_the_fields_of_the_contract(harness: Harness) -> None:
    run = harness.read(harness.train(model="fields"))
    position, created = run.pop("queue_position"), run.pop("created_at")
    assert position >= 1
    assert created.endswith("Z")
    assert run == {
        "id": run["id"],
        "state": "queued",
        "wanted": None,
        "preset": "mlp-mnist",
        "dataset": "mnist-mini",
        "model": "fields",
        "token": 0,
        "failures": 0,
        "progress": {
            "kimg": 0.0,
            "total_kimg": 60.0,
            "epoch": 0.0,
            "fraction": 0.0,
            "images_per_second": None,
            "eta_seconds": None,
        },
        "latest": dict.fromkeys(("loss_d", "loss_d_real", "loss_d_fake", "loss_g", "d_real", "d_fake")),
        "health": {"verdict": None, "reasons": [], "sentence": None},
        "scores": {},
        "published": [],
        "resolved": {},
        "started_at": None,
        "ended_at": None,
        "error": None,
    }


def test_progress_and_health_come_from_the_files(harness: Harness) -> None:
    run_id = harness.train()
    token = harness.claim(run_id).token
    attempt = harness.attempt(run_id, token)
    write_tick(attempt, 30_000)
    EventWriter(attempt).append("health", {"verdict": "healthy", "reasons": []})
    run = harness.read(run_id)
    assert (run["state"], run["token"], run["queue_position"]) == ("running", 1, None)
    assert run["progress"] == {
        "kimg": 30.0,
        "total_kimg": 60.0,
        "epoch": 5.0,
        "fraction": 0.5,
        "images_per_second": 2000.0,
        "eta_seconds": 20.0,
    }
    assert run["latest"]["d_real"] == 0.61
    assert run["health"] == {"verdict": "healthy", "reasons": [], "sentence": None}
    harness.app_state.records.release_run(Claim("run", run_id, token), "failed", error="the disk is full")
    ended = harness.read(run_id)
    assert (ended["state"], ended["error"], ended["progress"]["eta_seconds"]) == ("failed", "the disk is full", None)


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        ({"preset": "nope"}, "body.preset", "mlp-mnist"),
        ({"preset": "mlp-mnist", "dataset": "cats"}, "body.dataset", "unknown data set"),
        ({"preset": "mlp-mnist", "dataset": "folder:../etc"}, "body.dataset", "stay below"),
        ({"preset": "mlp-mnist", "dataset": "folder:empty"}, "body.dataset", "no image file"),
        ({"preset": "dcgan-128"}, "body.dataset", "name one"),
        ({"preset": "mlp-conditional", "dataset": "folder:flat"}, "body.dataset", "has no labels"),
        ({**BODY, "model": "starter"}, "body.model", "comes with the package"),
        ({**BODY, "model": "No Name"}, "body.model", "pattern"),
        ({**BODY, "overrides": {"generator.rate": 1}}, "body.overrides.generator.rate", "nearest"),
        ({**BODY, "overrides": {"batch_size": 0}}, "body.overrides.batch_size", "greater"),
        ({**BODY, "epochs": 1, "kimg": 1}, "body", "not both"),
        ({**BODY, "seed": "x"}, "body.seed", "integer"),
        ({**BODY, "seed": 2**63}, "body.seed", "less"),
    ],
)
def test_impossible_request_is_refused_with_422(harness: Harness, body: dict[str, Any], where: str, words: str) -> None:
    for folder in ("empty", "flat"):
        (harness.app_state.settings.images_dir / folder).mkdir(parents=True, exist_ok=True)
    Image.new("L", (28, 28)).save(harness.app_state.settings.images_dir / "flat/1.png")
    before = len(harness.http.get("/train", params={"limit": 200}).json()["items"])
    assert words in errors(harness.http.post("/train", json=body))[where]
    assert len(harness.http.get("/train", params={"limit": 200}).json()["items"]) == before


def test_folder_of_images_is_accepted(harness: Harness) -> None:
    pictures = harness.app_state.settings.images_dir / "cats"
    pictures.mkdir(parents=True)
    for n in range(100):
        Image.new("RGB", (64, 64)).save(pictures / f"{n}.bmp")
    run = harness.read(harness.train(dataset="folder:cats"))
    assert run["progress"]["total_kimg"] is None


def test_dry_run_resolves_and_estimates_and_creates_nothing(harness: Harness) -> None:
    count = len(harness.http.get("/train").json()["items"])
    answer = harness.http.post(
        "/train", params={"dry_run": "true"}, json={**BODY, "overrides": {"generator.lr": 0.001}}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert body["config"]["generator"]["lr"] == 0.001
    assert body["config"]["dataset"] == "mnist-mini"
    estimate = body["estimate"]
    assert estimate["generator_parameters"] == 1_486_352
    assert (estimate["images"], estimate["batches"]) == (600_000, 6000)
    assert estimate["memory_bytes"] > 6000 * 784
    assert estimate["memory_source"] == "by arithmetic"
    assert len(harness.http.get("/train").json()["items"]) == count


def test_dry_run_knows_the_speed_of_the_last_run_of_its_preset_and_reckons_that_of_others(harness: Harness) -> None:
    def estimated(preset: str, **overrides: Any) -> dict[str, Any]:
        body = {"preset": preset, "dataset": "mnist-mini", "kimg": 100, "overrides": overrides}
        answer: dict[str, Any] = harness.http.post("/train", params={"dry_run": "true"}, json=body).json()["estimate"]
        return answer

    write_tick(harness.attempt(harness.train(preset="minimax")), 1000)
    same = estimated("minimax")
    assert (same["seconds"], same["time_source"]) == (50.0, "the last run here of this preset")
    heavier = estimated("minimax-k3", **{"discriminator.steps": 16})
    assert heavier["time_source"] == "the last run here of minimax, by operations per image"
    share = same["operations_per_image"] / heavier["operations_per_image"]
    assert heavier["images_per_second"] == pytest.approx(2000 * share)
    assert estimated("minimax", **{"generator.network.hidden": [4096, 4096]})["seconds"] > 100


def test_repeat_with_an_idempotency_key_gives_the_same_run(harness: Harness) -> None:
    headers = {"idempotency-key": "once"}
    first, again = (harness.http.post("/train", json=BODY, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = harness.http.post("/train", json={**BODY, "seed": 1}, headers=headers)
    assert "another request" in errors(other)["header.Idempotency-Key"]


def test_a_repeat_gives_its_run_though_the_data_set_has_gone(harness: Harness) -> None:
    folder = harness.app_state.settings.images_dir / "soon-gone"
    folder.mkdir(parents=True)
    for number in range(80):
        Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
    body = {"preset": "dcgan-64", "dataset": "folder:soon-gone", "model": "gone", "kimg": 1}
    headers = {"idempotency-key": "gone"}
    first = harness.http.post("/train", json=body, headers=headers)
    rmtree(folder)
    again = harness.http.post("/train", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert harness.http.post("/train", json=body).status_code == 422


def test_a_run_of_another_version_of_the_program_can_be_looked_at(harness: Harness) -> None:
    run = harness.app_state.records.get_run(harness.train(preset="minimax"))
    assert run is not None
    config = TrainingConfig.model_validate(run.config).model_copy(update={"batch_size": 0})
    older, _ = harness.app_state.records.create_run(config, {})
    write_tick(harness.attempt(older.id), 1000)
    progress = harness.read(older.id)["progress"]
    assert (progress["kimg"], progress["total_kimg"]) == (1.0, None)
    assert harness.http.post("/train", params={"dry_run": "true"}, json=BODY).status_code == 200


def test_list_filters_and_pages(harness: Harness) -> None:
    made = [harness.train(model="paged") for _ in range(3)]
    first = harness.http.get("/train", params={"model": "paged", "limit": 2}).json()
    assert [run["id"] for run in first["items"]] == [made[2], made[1]]
    rest = harness.http.get("/train", params={"model": "paged", "limit": 2, "cursor": first["next"]}).json()
    assert ([run["id"] for run in rest["items"]], rest["next"]) == ([made[0]], None)
    harness.http.post(f"/train/{made[0]}/cancel")
    cancelled = harness.http.get("/train", params={"model": "paged", "state": "cancelled"}).json()["items"]
    assert [run["id"] for run in cancelled] == [made[0]]
    assert "query.cursor" in errors(harness.http.get("/train", params={"cursor": "not one"}))
    assert "query.state" in errors(harness.http.get("/train", params={"state": "lost"}))
    assert "query.limit" in errors(harness.http.get("/train", params={"limit": 201}))


@pytest.mark.parametrize("path", ["", "/events", "/ticks", "/losses.png", "/snapshots", "/timelapse", "/log"])
def test_unknown_run_is_404(harness: Harness, path: str) -> None:
    answer = harness.http.get(f"/train/nope{path}")
    assert (answer.status_code, answer.json()["detail"]) == (404, 'there is no run "nope"')


def test_steering_an_unknown_run_is_404(harness: Harness) -> None:
    for action in ("cancel", "pause", "resume"):
        assert harness.http.post(f"/train/nope/{action}").status_code == 404


def test_pause_resume_and_cancel_of_a_waiting_run(harness: Harness) -> None:
    run_id = harness.train()
    for _ in range(2):
        paused = harness.http.post(f"/train/{run_id}/pause")
        assert (paused.status_code, paused.json()["state"]) == (202, "paused")
    assert harness.http.post(f"/train/{run_id}/resume").json()["state"] == "queued"
    for _ in range(2):
        cancelled = harness.http.post(f"/train/{run_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert harness.http.post(f"/train/{run_id}/resume", json={"kimg": 90}).json()["progress"]["total_kimg"] == 90.0


def test_running_run_is_asked_to_stop(harness: Harness) -> None:
    run_id = harness.train()
    token = harness.claim(run_id).token
    asked = harness.http.post(f"/train/{run_id}/pause").json()
    assert (asked["state"], asked["wanted"]) == ("running", "paused")
    harness.app_state.records.release_run(Claim("run", run_id, token), "queued")
    assert harness.read(run_id)["state"] == "paused"


def test_senseless_steering_is_409_with_the_state(harness: Harness) -> None:
    run_id = harness.train()
    resumed = harness.http.post(f"/train/{run_id}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (409, "queued")
    harness.app_state.records.release_run(harness.claim(run_id).claim, "succeeded")
    for action in ("cancel", "pause", "resume"):
        answer = harness.http.post(f"/train/{run_id}/{action}")
        assert (answer.status_code, answer.json()["state"]) == (409, "succeeded")
    longer = harness.http.post(f"/train/{run_id}/resume", json={"epochs": 20})
    assert (longer.status_code, longer.json()["state"]) == (202, "queued")


def test_resuming_with_a_length_behind_the_progress_is_422(harness: Harness) -> None:
    run_id = harness.train()
    harness.http.post(f"/train/{run_id}/pause")
    write_tick(harness.attempt(run_id), 640)
    refused = harness.http.post(f"/train/{run_id}/resume", json={"kimg": 0.5})
    assert refused.status_code == 422
    assert "has been shown 0.64 kimg already" in refused.text


def test_resuming_with_two_lengths_is_422(harness: Harness) -> None:
    run_id = harness.train()
    harness.http.post(f"/train/{run_id}/pause")
    assert "body.epochs" in errors(harness.http.post(f"/train/{run_id}/resume", json={"epochs": 2, "kimg": 2}))
