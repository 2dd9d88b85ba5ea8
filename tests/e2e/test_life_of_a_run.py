"""The life of a run with everything real: Celery workers, the trainer, Redis, the database, the model directory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from models.artifacts.history import list_snapshots, read_ticks
from models.config import requests
from models.records import Records, Run
from models.store.local import LocalStore
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.fixtures.workers import ROOT, Workers, workers

TINY: dict[str, Any] = {
    "generator.network.hidden": [32],
    "discriminator.network.hidden": [32],
    "tick_kimg": 5,
    "snapshots": 4,
    "checkpoint_minutes": 0.005,
}

LISTENING = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


def tiny(model: str, kimg: float) -> dict[str, Any]:
    """Return the body of a request for a small training on digits that ship with the program."""
    return {"preset": "mlp-mnist", "dataset": "mnist-mini", "model": model, "kimg": kimg, "overrides": TINY}


class Harness:
    """Workers, rows and files of one house."""

    def __init__(self, workers: Workers, records: Records, data_dir: Path) -> None:
        self.workers = workers
        self.records = records
        self.data_dir = data_dir

    def create(self, model: str, kimg: float, **more: Any) -> Run:
        body = {**tiny(model, kimg), **more}
        run, _ = self.records.create_run(requests.resolve(requests.TrainRequest.model_validate(body)), body, None)
        return run

    def read(self, run: Run) -> Run:
        found = self.records.get_run(run.id)
        assert found is not None
        return found

    def wait_for(self, run: Run, state: str) -> Run:
        def reached() -> Run | None:
            now = self.read(run)
            assert now.state == state or now.state != "failed", now.error
            return now if now.state == state else None

        found = until(reached, f"run {run.id} to be {state}", seconds=90)
        assert found is not None
        return found

    def wait_for_progress(self, run: Run, token: int) -> Attempt:
        """Wait until attempt `token` has a checkpoint of its own."""
        attempt = Attempt(self.data_dir / "runs" / run.id, token)
        until(lambda: any(attempt.checkpoints.glob("[0-9]*")), f"a checkpoint of attempt {token}")
        return attempt

    def weights(self, run: Run) -> str:
        """Return the sha256 of what the run published last."""
        directory = LocalStore(self.data_dir / "models")
        manifest = directory.model(run.model).versions[-1].manifest
        assert manifest is not None
        assert manifest.provenance.run == run.id
        return manifest.files["generator.safetensors"].sha256


@contextmanager
def opened(folder: Path, database_url: str, redis: RedisServer) -> Iterator[Harness]:
    with closing(Records(database_url)) as records, workers(folder, database_url, redis.url) as started:
        records.migrate()
        yield Harness(started, records, folder / "data")


@pytest.fixture
def harness(tmp_path: Path, own_redis: RedisServer) -> Iterator[Harness]:
    with opened(tmp_path, f"sqlite:///{tmp_path / 'atelier.db'}", own_redis) as harness:
        yield harness


@pytest.fixture
def postgres_house(tmp_path: Path, postgres: PostgresServer, own_redis: RedisServer) -> Iterator[Harness]:
    with opened(tmp_path, postgres.create_database(), own_redis) as harness:
        yield harness


def test_run_that_was_paused_and_resumed_by_another_worker_ends_as_one_that_never_was(harness: Harness) -> None:
    worker = harness.workers.start()
    calm = harness.wait_for(harness.create("calm", kimg=60), "succeeded")
    run = harness.create("restless", kimg=60)
    harness.wait_for_progress(run, token=1)
    harness.records.pause(run.id)
    harness.wait_for(run, "paused")
    worker.terminate()
    assert worker.wait() == 0
    harness.workers.start()
    harness.records.resume(run.id)
    ended = harness.wait_for(run, "succeeded")

    assert (ended.token, ended.failures) == (2, 0)
    assert harness.weights(ended) == harness.weights(calm)
    run_dir = harness.data_dir / "runs" / run.id
    images = [tick["images"] for tick in read_ticks(run_dir)]
    assert images == sorted(set(images))
    states = [event.data["state"] for event in read_events(run_dir) if event.type == "state"]
    assert states == ["running", "paused", "running", "succeeded"]


def test_run_that_starts_from_a_version_shows_its_images_first(harness: Harness) -> None:
    harness.workers.start()
    first = harness.wait_for(
        harness.create("digits", kimg=20, overrides={**TINY, "keep_discriminators": True}), "succeeded"
    )
    ref = LocalStore(harness.data_dir / "models").model("digits").versions[-1].ref
    second = harness.wait_for(harness.create("more-digits", kimg=5, **{"from": ref}), "succeeded")
    last, start = (list_snapshots(harness.data_dir / "runs" / run.id) for run in (first, second))
    assert start[0].images == 0
    # Both runs have the same seed, so both grids have the same latents.
    assert start[0].picture.read_bytes() == last[-1].picture.read_bytes()
    messages = [
        event.data["message"] for event in read_events(harness.data_dir / "runs" / second.id) if event.type == "log"
    ]
    assert f"started from {ref}: its generator and discriminator" in messages


def test_run_whose_training_is_killed_goes_on_from_its_checkpoint_and_is_handed_over(postgres_house: Harness) -> None:
    harness = postgres_house
    worker = harness.workers.start()
    run = harness.create("endless", kimg=1_000_000)
    first = harness.wait_for_progress(run, token=1)
    os.kill(trainer(run), signal.SIGKILL)
    second = harness.wait_for_progress(run, token=2)
    assert json.loads(second.config.read_text())["resumed_from"].startswith("1/")
    assert (second.start_images() or 0) > (first.start_images() or 0)
    pid = trainer(run)
    worker.terminate()
    assert worker.wait() == 0
    assert gone(pid)
    handed_over = harness.read(run)
    assert (handed_over.state, handed_over.failures) == ("queued", 0)
    assert harness.records.cancel(run.id).state == "cancelled"


def trainer(run: Run) -> int:
    """Find the process that trains a run."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "worker.jobs.train" in words and run.id in words:
            return int(folder.name)
    raise AssertionError(f"nobody trains run {run.id}")


def test_run_asked_for_while_redis_is_away_is_trained_published_and_served(
    harness: Harness, own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    harness.workers.start()
    with served(harness, tmp_path) as client:
        answer = client.post("/train", json=tiny("digits", kimg=5))
        assert answer.status_code == 202
        where = answer.headers["Location"]
        until(lambda: client.get(where).json()["state"] == "succeeded", "the run", seconds=90)
        assert client.get(where).json()["published"]
        until(lambda: client.get("/samples?n=4&model=digits").status_code == 200, "samples of it")


@contextmanager
def served(harness: Harness, folder: Path) -> Iterator[httpx.Client]:
    """Serve the app on a free port."""
    environment = {**os.environ, **harness.workers.environment, "ATELIER_PORT": "0"}
    log = folder / "app.log"
    with log.open("wb") as output:
        app = subprocess.Popen([sys.executable, "-m", "app.cli.serve"], cwd=ROOT, env=environment, stderr=output)
    try:
        listening = until(lambda: LISTENING.search(log.read_text()), f"the app, see {log}", seconds=90)
        with httpx.Client(base_url=listening[1], timeout=30) as client:
            yield client
    finally:
        app.kill()
        app.wait()
