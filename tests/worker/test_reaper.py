"""The reaper, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from models import messages, presets
from models.artefacts.attempts import Attempt
from models.records import Records, Run, new_id
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import until
from worker.hints import Hints
from worker.reaper import Reaper


class House:
    """One run held by a worker, and a reaper that looks at it."""

    def __init__(self, records: Records, folder: Path) -> None:
        self.records = records
        self.folder = folder
        self.now = 1000.0
        self.reaper = Reaper(records, Hints("unix:///nowhere.sock"), folder, 60, clock=lambda: self.now)
        records.create_run(presets.resolve(presets.TrainRequest(preset="mlp-mnist")), {}, None)

    def claim(self) -> Run:
        run = self.records.claim("silent", 1)
        assert run is not None
        return run

    def state(self, run: Run) -> tuple[str, int]:
        found = self.records.get_run(run.id)
        assert found is not None
        return found.state, found.failures

    def look_for(self, seconds: float, step: float = 5) -> None:
        """Look every `step` seconds for so long."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.reaper.look()


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    records = Records(database_url)
    records.migrate()
    yield House(records, tmp_path / "runs")
    records.close()


def test_run_whose_beat_stands_still_is_taken_back_after_a_minute_and_not_before(house: House) -> None:
    run = house.claim()
    house.look_for(60)
    assert house.state(run) == ("running", 0)
    house.look_for(5)
    assert house.state(run) == ("queued", 1)


def test_run_that_beats_is_left_alone(house: House) -> None:
    run = house.claim()
    for _ in range(10):
        house.look_for(30)
        house.records.beat(run.id, run.token)
    assert house.state(run) == ("running", 0)


def test_new_attempt_starts_with_a_clean_slate(house: House) -> None:
    run = house.claim()
    house.look_for(50)
    house.records.release(run.id, run.token, "queued")
    house.claim()
    house.look_for(50)
    assert house.state(run) == ("running", 0)


def test_silence_in_which_the_reaper_was_away_too_does_not_count(house: House) -> None:
    run = house.claim()
    house.look_for(30)
    house.now += 3600
    house.reaper.look()
    assert house.state(run) == ("running", 0)
    house.look_for(55)
    assert house.state(run) == ("running", 0)
    house.look_for(5)
    assert house.state(run) == ("queued", 1)


@pytest.mark.parametrize(("ask", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_pending_request_is_honoured(house: House, ask: str, state: str) -> None:
    run = house.claim()
    getattr(house.records, ask)(run.id)
    house.look_for(65)
    assert house.state(run)[0] == state


def test_third_lost_worker_in_a_row_fails_the_run_with_the_tail_of_its_log(house: House) -> None:
    for _ in range(3):
        run = house.claim()
        attempt = Attempt(house.folder / run.id, run.token)
        attempt.create()
        attempt.log.write_text(f"last words of attempt {run.token}\n")
        house.look_for(70)
    ended = house.records.get_run(run.id)
    assert ended is not None
    assert ended.state == "failed"
    assert ended.error is not None
    assert "gave no sign of life for 60 s" in ended.error
    assert ended.error.endswith("last words of attempt 3")


def test_pages_are_told_of_a_data_set_that_was_taken_back(house: House, own_redis: RedisServer) -> None:
    house.records.create_dataset(new_id(), "cats", {}, 1)
    house.records.claim_dataset("silent")
    hints = Hints(own_redis.url)
    house.reaper = Reaper(house.records, hints, house.folder, 60, clock=lambda: house.now)
    with redis.Redis.from_url(own_redis.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(messages.CHANNEL)
        house.look_for(70)
        message = until(lambda: listener.get_message(timeout=0.1), "a hint")
    assert message["data"] == b'{"dataset": "cats"}'
    hints.close()
