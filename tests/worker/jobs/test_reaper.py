"""The reaper, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from models import broker
from models.artifacts.attempts import Attempt
from models.config import requests
from models.records import Records, Run, new_id
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import until
from worker.jobs.notifier import Notifier
from worker.jobs.reaper import Reaper


class Harness:
    """One run held by a worker, and a reaper that looks at it."""

    def __init__(self, records: Records, folder: Path) -> None:
        self.records = records
        self.folder = folder
        self.now = 1000.0
        self.reaper = Reaper(records, Notifier("unix:///nowhere.sock"), folder, 60, clock=lambda: self.now)
        records.create_run(requests.resolve(requests.TrainRequest(preset="mlp-mnist")), {}, None)

    def claim(self) -> Run:
        run = self.records.claim_run("silent", 1)
        assert run is not None
        return run

    def state(self, run: Run) -> tuple[str, int]:
        found = self.records.get_run(run.id)
        assert found is not None
        return found.state, found.failures

    def watch_for(self, seconds: float, step: float = 5) -> None:
        """Call the reaper every `step` seconds for so long."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.reaper.reap()


@pytest.fixture
def harness(database_url: str, tmp_path: Path) -> Iterator[Harness]:
    records = Records(database_url)
    records.migrate()
    yield Harness(records, tmp_path / "runs")
    records.close()


def test_run_whose_beat_stands_still_is_taken_back_after_a_minute_and_not_before(harness: Harness) -> None:
    run = harness.claim()
    harness.watch_for(60)
    assert harness.state(run) == ("running", 0)
    harness.watch_for(5)
    assert harness.state(run) == ("queued", 1)


def test_run_that_beats_is_left_alone(harness: Harness) -> None:
    run = harness.claim()
    for _ in range(10):
        harness.watch_for(30)
        harness.records.beat_run(run.claim)
    assert harness.state(run) == ("running", 0)


def test_new_attempt_starts_with_a_clean_slate(harness: Harness) -> None:
    run = harness.claim()
    harness.watch_for(50)
    harness.records.release_run(run.claim, "queued")
    harness.claim()
    harness.watch_for(50)
    assert harness.state(run) == ("running", 0)


def test_silence_in_which_the_reaper_was_away_too_does_not_count(harness: Harness) -> None:
    run = harness.claim()
    harness.watch_for(30)
    harness.now += 3600
    harness.reaper.reap()
    assert harness.state(run) == ("running", 0)
    harness.watch_for(55)
    assert harness.state(run) == ("running", 0)
    harness.watch_for(5)
    assert harness.state(run) == ("queued", 1)


@pytest.mark.parametrize(("ask", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_pending_request_is_honoured(harness: Harness, ask: str, state: str) -> None:
    run = harness.claim()
    getattr(harness.records, ask)(run.id)
    harness.watch_for(65)
    assert harness.state(run)[0] == state


def test_third_lost_worker_in_a_row_fails_the_run_with_the_tail_of_its_log(harness: Harness) -> None:
    for _ in range(3):
        run = harness.claim()
        attempt = Attempt(harness.folder / run.id, run.token)
        attempt.create()
        attempt.log.write_text(f"last words of attempt {run.token}\n")
        harness.watch_for(70)
    ended = harness.records.get_run(run.id)
    assert ended is not None
    assert ended.state == "failed"
    assert ended.error is not None
    assert "gave no sign of life for 60 s" in ended.error
    assert ended.error.endswith("last words of attempt 3")


def test_pages_are_told_of_a_data_set_that_was_taken_back(harness: Harness, own_redis: RedisServer) -> None:
    harness.records.create_dataset(new_id(), "cats", {}, 1)
    harness.records.claim_dataset("silent")
    notifier = Notifier(own_redis.url)
    harness.reaper = Reaper(harness.records, notifier, harness.folder, 60, clock=lambda: harness.now)
    with redis.Redis.from_url(own_redis.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(broker.CHANNEL)
        harness.watch_for(70)
        message = until(lambda: listener.get_message(timeout=0.1), "a notification")
    assert message["data"] == b'{"dataset": "cats"}'
    notifier.close()
