"""Supervised runs, with a stand-in for the trainer: real processes, real rows, real files."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from models import broker
from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from models.config import requests
from models.records import Records, Run
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from worker.jobs.notifier import Notifier
from worker.jobs.runs import RunJobs
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[3]
STAND_IN = ROOT / "tests/stand_in/stand_in.py"


class Harness:
    """One database, one data directory, and supervised runs."""

    def __init__(self, settings: WorkerSettings, records: Records) -> None:
        self.settings = settings
        self.records = records
        self.stopping = threading.Event()
        self.notifier = Notifier(settings.redis_url)

    def create(self) -> Run:
        config = requests.resolve(requests.TrainRequest(preset="mlp-mnist"))
        run, _ = self.records.create_run(config, {"preset": "mlp-mnist"}, None)
        return run

    def claim(self, worker: str = "tester") -> Run:
        run = self.records.claim_run(worker, 1)
        assert run is not None
        return run

    def supervise(self, mode: str, run: Run) -> Run:
        command = [sys.executable, str(STAND_IN), mode, str(self.settings.runs_dir)]
        RunJobs(self.records, self.settings, self.notifier, self.stopping, command).supervise(run)
        return self.read(run)

    def read(self, run: Run) -> Run:
        found = self.records.get_run(run.id)
        assert found is not None
        return found

    def attempt(self, run: Run) -> Attempt:
        return Attempt(self.settings.runs_dir / run.id, run.token)

    def states(self, run: Run) -> list[str]:
        events = read_events(self.settings.runs_dir / run.id)
        return [event.data["state"] for event in events if event.type == "state"]

    def while_working(self, run: Run, action: Callable[[], object], mode: str = "work") -> Run:
        """Supervise in a thread, and act once the child is at work."""
        thread = threading.Thread(target=self.supervise, args=(mode, run))
        thread.start()
        try:
            until(lambda: any(self.attempt(run).checkpoints.glob("*")), "a checkpoint")
            action()
        finally:
            thread.join(60)
        assert not thread.is_alive()
        return self.read(run)


@contextmanager
def opened(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Harness]:
    settings = WorkerSettings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        redis_url=redis_url,
        poll_seconds=0.05,
        beat_seconds=0.05,
        lost_after_seconds=60,
        grace_seconds=20,
    )
    records = Records(database_url)
    records.migrate()
    harness = Harness(settings, records)
    try:
        yield harness
    finally:
        harness.notifier.close()
        records.close()


@pytest.fixture(autouse=True)
def _stand_in_finds_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def harness(tmp_path: Path, database_url: str, redis_server: RedisServer) -> Iterator[Harness]:
    with opened(tmp_path, database_url, redis_server.url) as harness:
        yield harness


@pytest.fixture
def interruptible(tmp_path: Path, own_postgres: PostgresServer, redis_server: RedisServer) -> Iterator[Harness]:
    """A harness whose database the test may stop and start."""
    with opened(tmp_path, own_postgres.create_database(), redis_server.url) as harness:
        yield harness


def test_completed_run_succeeds_and_its_events_say_so(harness: Harness) -> None:
    harness.create()
    run = harness.supervise("complete", harness.claim())
    assert (run.state, run.error, run.worker) == ("succeeded", None, None)
    assert harness.states(run) == ["running", "succeeded"]


def test_changes_of_a_run_are_published(harness: Harness, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(broker.CHANNEL)
        run = harness.create()
        harness.supervise("complete", harness.claim())

        def received() -> bool:
            message = listener.get_message(timeout=0.1)
            return message is not None and json.loads(message["data"]) == {"run": run.id}

        until(received, "a notification about the run")


@pytest.mark.parametrize(("ask", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_running_run_is_stopped_on_request(harness: Harness, ask: str, state: str) -> None:
    run = harness.create()
    ended = harness.while_working(harness.claim(), lambda: getattr(harness.records, ask)(run.id))
    assert (ended.state, ended.wanted, ended.failures, ended.worker) == (state, None, 0, None)
    assert harness.states(ended) == ["running", state]


def test_cancel_after_pause_wins(harness: Harness) -> None:
    run = harness.create()

    def change_mind() -> None:
        harness.records.pause(run.id)
        harness.records.cancel(run.id)

    assert harness.while_working(harness.claim(), change_mind).state == "cancelled"


def test_handover_is_no_failure(harness: Harness) -> None:
    harness.create()
    run = harness.while_working(harness.claim(), harness.stopping.set)
    assert (run.state, run.failures, run.worker) == ("queued", 0, None)
    assert harness.claim("another").token == 2


def test_child_that_does_not_stop_is_killed_after_the_grace(harness: Harness) -> None:
    harness.settings = harness.settings.model_copy(update={"grace_seconds": 0.2})
    run = harness.create()
    ended = harness.while_working(harness.claim(), lambda: harness.records.pause(run.id), mode="stubborn")
    assert (ended.state, ended.failures) == ("paused", 0)
    assert gone(int((harness.attempt(ended).dir / "pid").read_text()))


def test_third_death_in_a_row_fails_with_the_tail_of_the_log(harness: Harness) -> None:
    harness.create()
    for failures in (1, 2):
        run = harness.supervise("die", harness.claim())
        assert (run.state, run.failures) == ("queued", failures)
    run = harness.supervise("die", harness.claim())
    assert (run.state, run.failures) == ("failed", 3)
    assert run.error is not None
    assert "SIGKILL" in run.error
    assert run.error.endswith("about to die")


def test_new_checkpoint_forgives_earlier_deaths(harness: Harness) -> None:
    harness.create()
    harness.supervise("die", harness.claim())
    harness.supervise("die", harness.claim())
    for _ in range(3):
        run = harness.supervise("progress-and-die", harness.claim())
        assert (run.state, run.failures) == ("queued", 1)


def test_refusal_fails_at_once_with_its_reason(harness: Harness) -> None:
    harness.create()
    run = harness.supervise("refuse", harness.claim())
    assert (run.state, run.error, run.failures) == ("failed", "the folder holds no image", 0)


def test_attempt_that_cannot_be_written_fails_with_the_reason(harness: Harness) -> None:
    run = harness.create()
    harness.settings.runs_dir.mkdir(parents=True)
    (harness.settings.runs_dir / run.id).write_text("a file where a folder should be")
    ended = harness.supervise("complete", harness.claim())
    assert ended.state == "failed"
    assert "could not start" in str(ended.error)


def test_worker_that_was_given_up_for_dead_is_fenced(harness: Harness) -> None:
    harness.create()
    stale = harness.claim("stale")

    def give_to_another() -> None:
        taken = None
        while taken is None:
            (lease,) = harness.records.leases()
            taken = harness.records.take_back(lease, "silent")
        harness.claim("another")

    run = harness.while_working(stale, give_to_another)
    assert (run.state, run.worker, run.token) == ("running", "another", 2)
    assert gone(int((harness.attempt(stale).dir / "pid").read_text()))
    assert harness.states(run) == ["running"]


def test_child_that_finds_itself_fenced_changes_nothing(harness: Harness) -> None:
    harness.create()
    run = harness.supervise("lose", harness.claim())
    assert run.state == "running"


def test_what_a_child_leaves_behind_is_swept_up(harness: Harness) -> None:
    harness.create()
    run = harness.supervise("offspring", harness.claim())
    pid = int((harness.attempt(run).dir / "offspring").read_text())
    until(lambda: gone(pid), "the child's child to end")


def test_run_goes_on_while_the_database_is_away(interruptible: Harness, own_postgres: PostgresServer) -> None:
    run = interruptible.create()
    claimed = interruptible.claim()
    checkpoints = interruptible.attempt(claimed).checkpoints

    def interrupt() -> None:
        own_postgres.stop()
        before = len(list(checkpoints.iterdir()))
        until(lambda: len(list(checkpoints.iterdir())) > before + 3, "more checkpoints")
        own_postgres.start()
        interruptible.records.pause(run.id)

    assert interruptible.while_working(claimed, interrupt).state == "paused"


def test_ending_is_written_once_the_database_is_back(interruptible: Harness, own_postgres: PostgresServer) -> None:
    interruptible.create()
    claimed = interruptible.claim()

    def end_in_the_dark() -> None:
        own_postgres.stop()
        interruptible.stopping.set()
        pid = int((interruptible.attempt(claimed).dir / "pid").read_text())
        until(lambda: gone(pid), "the child to stop")
        own_postgres.start()

    assert interruptible.while_working(claimed, end_in_the_dark).state == "queued"
