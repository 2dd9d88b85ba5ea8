"""Trainings and workers killed again and again, services that come and go: every run still comes to its end."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from models.artifacts.attempts import list_attempts
from models.records import Run
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.fixtures.workers import StandInWorkers, stand_in_workers

pytestmark = pytest.mark.chaos

STORM_SECONDS = 20


@pytest.fixture
def harness(tmp_path: Path, database_url: str, own_redis: RedisServer) -> Iterator[StandInWorkers]:
    with stand_in_workers(tmp_path, database_url, own_redis.url) as harness:
        yield harness


def pids(harness: StandInWorkers) -> list[int]:
    """List the process ids that attempts have written down."""
    return [int(path.read_text()) for path in harness.runs_dir.glob("*/*/pid") if path.read_text()]


def over(harness: StandInWorkers, run: Run) -> bool:
    return harness.read(run).state in ("succeeded", "failed")


def assert_all_succeed_with_attempts_in_order(harness: StandInWorkers, runs: list[Run]) -> None:
    for run in runs:
        until(partial(over, harness, run), f"the end of run {run.id}", 120)
        ended = harness.read(run)
        assert ended.state == "succeeded", ended.error
        tokens = [attempt.token for attempt in list_attempts(harness.runs_dir / run.id)]
        assert tokens == sorted(tokens)
        assert tokens[-1] == ended.token
    until(lambda: all(gone(pid) for pid in pids(harness)), "every training to be gone")


def test_each_run_is_claimed_once_by_four_workers(harness: StandInWorkers) -> None:
    runs = [harness.create() for _ in range(20)]
    for _ in range(4):
        harness.start("complete")
    for run in runs:
        assert harness.wait_for(run, "succeeded").token == 1
        assert [attempt.token for attempt in list_attempts(harness.runs_dir / run.id)] == [1]


def test_runs_survive_a_storm_of_killed_trainings_and_workers(harness: StandInWorkers) -> None:
    dice = random.Random(0)
    workers = [harness.start("finish") for _ in range(3)]
    runs = [harness.create() for _ in range(6)]
    until(lambda: pids(harness), "the first training")
    end = time.monotonic() + STORM_SECONDS
    while time.monotonic() < end:
        # Three deaths in a row without a checkpoint rightly end a run: each blow waits until the last is forgiven.
        # A run that dies between its last checkpoint and its end then ends without another one.
        until(
            lambda: all(over(harness, run) or harness.read(run).failures == 0 for run in runs),
            "a new checkpoint after each death",
        )
        alive = [pid for pid in pids(harness) if not gone(pid)]
        if alive and dice.random() < 0.7:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(alive), signal.SIGKILL)
        else:
            victim = dice.randrange(len(workers))
            workers[victim].kill()
            workers[victim] = harness.start("finish")
        time.sleep(dice.uniform(0.2, 1.5))
    assert_all_succeed_with_attempts_in_order(harness, runs)


def test_runs_survive_services_that_come_and_go(
    tmp_path: Path, own_postgres: PostgresServer, own_redis: RedisServer
) -> None:
    with stand_in_workers(tmp_path, own_postgres.create_database(), own_redis.url) as harness:
        runs = [harness.create() for _ in range(6)]
        for _ in range(2):
            harness.start("finish")
        until(lambda: pids(harness), "the first training")
        for service in (own_redis, own_postgres) * 3:
            service.stop()
            time.sleep(1)
            service.start()
            time.sleep(1)
        assert_all_succeed_with_attempts_in_order(harness, runs)
        assert all(harness.read(run).failures == 0 for run in runs)
