"""The real Celery worker as a process, with a stand-in for the trainer: what it does about runs, Redis and signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery

from models import broker as messages
from models.records import Records
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.fixtures.workers import StandInWorkers, stand_in_workers, workers


@pytest.fixture
def stand_in(tmp_path: Path, own_redis: RedisServer) -> Iterator[StandInWorkers]:
    with stand_in_workers(tmp_path, f"sqlite:///{tmp_path / 'atelier.db'}", own_redis.url) as stand_in:
        yield stand_in


def test_message_wakes_a_worker(stand_in: StandInWorkers, own_redis: RedisServer) -> None:
    # So rarely does this worker look by itself that only the message can have told it.
    worker = stand_in.start("complete", ATELIER_LOOK_SECONDS="600")
    worker.wait_until_ready()
    run = stand_in.create()
    with Celery("app", broker=messages.broker_url(own_redis.url), set_as_current=False) as app:
        app.send_task(messages.TRAIN_RUNS, queue=messages.TRAIN, expires=60, ignore_result=True)
    stand_in.wait_for(run, "succeeded")
    worker.terminate()
    assert worker.wait() == 0


def test_handover_on_sigterm_and_the_next_worker_goes_on(stand_in: StandInWorkers) -> None:
    first = stand_in.start()
    run = stand_in.create()
    child = stand_in.child(run)
    first.terminate()
    assert first.wait() == 0
    assert gone(child)
    queued = stand_in.read(run)
    assert (queued.state, queued.failures, stand_in.records.workers()) == ("queued", 0, [])
    stand_in.start("complete")
    assert stand_in.wait_for(run, "succeeded").token == 2


def test_killed_worker_leaves_nothing_running_and_another_takes_its_run(stand_in: StandInWorkers) -> None:
    first = stand_in.start()
    run = stand_in.create()
    child = stand_in.child(run)
    first.kill()
    until(lambda: gone(child), "the child to die with its worker", seconds=10)
    stand_in.start(queue="background")
    until(lambda: stand_in.read(run).state == "queued", "a background worker's reaper")
    assert stand_in.read(run).failures == 1
    stand_in.start("complete")
    assert stand_in.wait_for(run, "succeeded").token == 2


def test_worker_without_redis_claims_by_itself_and_stops_when_asked(
    stand_in: StandInWorkers, own_redis: RedisServer
) -> None:
    own_redis.stop()
    worker = stand_in.start()
    run = stand_in.create()
    stand_in.child(run)
    worker.terminate()
    assert worker.wait(30) == 0
    assert stand_in.read(run).state == "queued"


def test_worker_works_through_a_restart_of_redis(stand_in: StandInWorkers, own_redis: RedisServer) -> None:
    worker = stand_in.start()
    worker.wait_until_ready()
    run = stand_in.create()
    stand_in.child(run)
    own_redis.stop()
    stand_in.records.pause(run.id)
    stand_in.wait_for(run, "paused")
    own_redis.start()
    stand_in.records.resume(run.id)
    stand_in.child(run, token=2)
    until(lambda: worker.log.read_text().count("Connected to") == 2, "the worker to connect again")
    worker.terminate()
    assert worker.wait() == 0


def test_worker_stops_when_asked_though_redis_hangs(stand_in: StandInWorkers, own_redis: RedisServer) -> None:
    worker = stand_in.start()
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
        until(database.exists, "the worker to make the tables")
        with closing(Records(f"sqlite:///{database}")) as records:
            records.migrate()
            until(records.workers, "the worker in the list")


def test_worker_without_a_redis_address_says_what_to_do(tmp_path: Path) -> None:
    with workers(tmp_path, f"sqlite:///{tmp_path / 'atelier.db'}", "") as started:
        worker = started.start()
        assert worker.wait() != 0
        assert worker.says("ATELIER_REDIS_URL is empty")
