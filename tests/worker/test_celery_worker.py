"""The real Celery worker as a process, with a stand-in for the trainer: what it does about runs, Redis and signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from models import messages, presets
from models.records import Records, Run
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.fixtures.workers import ROOT, WorkerProcess, Workers, workers

SCRIPT = str(Path(__file__).parent / "celery_with_stand_in.py")


class House:
    """Workers, the rows they share, and what their stand-ins do."""

    def __init__(self, workers: Workers, records: Records, data_dir: Path) -> None:
        self.workers = workers
        self.records = records
        self.runs_dir = data_dir / "runs"

    def start(self, mode: str = "work", queue: str = "train", **environment: str) -> WorkerProcess:
        celery = (sys.executable, SCRIPT, mode)
        return self.workers.start(queue, celery, PYTHONPATH=str(ROOT), **environment)

    def create(self) -> Run:
        run, _ = self.records.create_run(presets.resolve(presets.TrainRequest(preset="mlp-mnist")), {}, None)
        return run

    def read(self, run: Run) -> Run:
        found = self.records.get_run(run.id)
        assert found is not None
        return found

    def child(self, run: Run, token: int = 1) -> int:
        """Give the process id of an attempt's child once it is at work."""
        folder = self.runs_dir / run.id / str(token)
        until(lambda: any(folder.glob("checkpoints/*")), f"attempt {token} at work")
        return int((folder / "pid").read_text())

    def wait_for(self, run: Run, state: str) -> Run:
        until(lambda: self.read(run).state == state, f"run {run.id} to be {state}")
        return self.read(run)


def _house(tmp_path: Path, database_url: str, redis: RedisServer) -> Iterator[House]:
    records = Records(database_url)
    records.migrate()
    with workers(tmp_path, database_url, redis.url) as started:
        yield House(started, records, tmp_path / "data")
    records.close()


@pytest.fixture
def house(tmp_path: Path, database_url: str, own_redis: RedisServer) -> Iterator[House]:
    yield from _house(tmp_path, database_url, own_redis)


@pytest.fixture
def sqlite_house(tmp_path: Path, own_redis: RedisServer) -> Iterator[House]:
    """Where the database makes no difference."""
    yield from _house(tmp_path, f"sqlite:///{tmp_path / 'atelier.db'}", own_redis)


def test_message_wakes_a_worker(sqlite_house: House, own_redis: RedisServer) -> None:
    house = sqlite_house
    # So rarely does this worker look by itself that only the message can have told it.
    worker = house.start("complete", ATELIER_LOOK_SECONDS="600")
    worker.wait_until_ready()
    run = house.create()
    with Celery("app", broker=messages.broker_url(own_redis.url), set_as_current=False) as app:
        app.send_task(messages.LOOK, queue=messages.TRAIN, expires=60, ignore_result=True)
    house.wait_for(run, "succeeded")
    worker.terminate()
    assert worker.wait() == 0


def test_handover_on_sigterm_and_the_next_worker_goes_on(house: House) -> None:
    first = house.start()
    run = house.create()
    child = house.child(run)
    first.terminate()
    assert first.wait() == 0
    assert gone(child)
    queued = house.read(run)
    assert (queued.state, queued.failures, house.records.workers()) == ("queued", 0, [])
    house.start("complete")
    assert house.wait_for(run, "succeeded").token == 2


def test_killed_child_is_started_again_by_the_same_worker(sqlite_house: House) -> None:
    house = sqlite_house
    worker = house.start()
    run = house.create()
    os.kill(house.child(run), signal.SIGKILL)
    second = house.child(run, token=2)
    again = house.read(run)
    assert (again.state, again.token) == ("running", 2)
    worker.terminate()
    assert worker.wait() == 0
    assert gone(second)


def test_killed_worker_leaves_nothing_running_and_another_takes_its_run(sqlite_house: House) -> None:
    house = sqlite_house
    first = house.start()
    run = house.create()
    child = house.child(run)
    first.kill()
    until(lambda: gone(child), "the child to die with its worker", seconds=10)
    house.start(queue="chores")
    until(lambda: house.read(run).state == "queued", "a chores worker's reaper")
    assert house.read(run).failures == 1
    house.start("complete")
    assert house.wait_for(run, "succeeded").token == 2


def test_worker_without_redis_claims_by_itself_and_stops_when_asked(
    sqlite_house: House, own_redis: RedisServer
) -> None:
    own_redis.stop()
    worker = sqlite_house.start()
    run = sqlite_house.create()
    sqlite_house.child(run)
    worker.terminate()
    assert worker.wait(30) == 0
    assert sqlite_house.read(run).state == "queued"


def test_worker_works_through_a_restart_of_redis(sqlite_house: House, own_redis: RedisServer) -> None:
    house = sqlite_house
    worker = house.start()
    worker.wait_until_ready()
    run = house.create()
    house.child(run)
    own_redis.stop()
    house.records.pause(run.id)
    house.wait_for(run, "paused")
    own_redis.start()
    house.records.resume(run.id)
    house.child(run, token=2)
    until(lambda: worker.log.read_text().count("Connected to") == 2, "the worker to connect again")
    worker.terminate()
    assert worker.wait() == 0


def test_worker_stops_when_asked_though_redis_hangs(sqlite_house: House, own_redis: RedisServer) -> None:
    worker = sqlite_house.start()
    worker.wait_until_ready()
    own_redis.freeze()
    worker.terminate()
    assert worker.wait(30) == 0


def test_worker_starts_before_its_database(tmp_path: Path, own_redis: RedisServer) -> None:
    database = tmp_path / "later" / "atelier.db"
    (tmp_path / "later").write_text("in the way")
    with workers(tmp_path, f"sqlite:///{database}", own_redis.url) as started:
        worker = started.start()
        until(lambda: worker.says("waits for the database"), "the worker to notice")
        (tmp_path / "later").unlink()
        records = Records(f"sqlite:///{database}")
        until(database.exists, "the worker to make the tables")
        until(lambda: worker.says("ready."), "the worker")
        records.migrate()
        until(records.workers, "the worker in the list")
        records.close()


def test_worker_without_a_redis_address_says_what_to_do(tmp_path: Path) -> None:
    with workers(tmp_path, f"sqlite:///{tmp_path / 'atelier.db'}", "") as started:
        worker = started.start()
        assert worker.wait() != 0
        assert worker.says("ATELIER_REDIS_URL is empty")
