"""Wake-ups and hints, with a real Redis that comes and goes."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import pytest
import redis

from models import broker
from tests.fixtures.redis import RedisServer
from tests.fixtures.runs import Harness
from tests.fixtures.service import serving
from tests.fixtures.waiting import until


def waiting(server: RedisServer, queue: str) -> list[tuple[str, list[object]]]:
    """Read the messages of a queue: task and arguments."""
    with redis.Redis.from_url(broker.client_url(server.url)) as client:
        found = [json.loads(item) for item in client.lrange(queue, 0, -1)]
    return [(item["headers"]["task"], json.loads(base64.b64decode(item["body"]))[0]) for item in found]


def test_new_run_wakes_workers(tmp_path: Path, own_redis: RedisServer) -> None:
    with serving(tmp_path, redis_url=own_redis.url) as service:
        Harness(service).train()
        until(lambda: waiting(own_redis, broker.TRAIN), "a wake-up")
        assert waiting(own_redis, broker.TRAIN) == [(broker.TRAIN_RUNS, [])]
        assert waiting(own_redis, broker.BACKGROUND) == [(broker.PREPARE_DATASET, ["mnist-mini", 28, 1])]


def test_run_is_accepted_while_redis_is_away_and_its_return_is_noticed(
    tmp_path: Path, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.stop()
    with caplog.at_level(logging.INFO), serving(tmp_path, redis_url=own_redis.url) as service:
        harness = Harness(service)
        run_id = harness.train()
        assert harness.read(run_id)["state"] == "queued"
        until(lambda: "Redis unavailable" in caplog.text, "the absence to be logged")
        assert service.client.get("/readyz").json()["redis"] == "away"
        own_redis.start()
        until(lambda: service.client.get("/readyz").json()["redis"] == "up", "Redis to be found again")
        harness.train()
        until(lambda: waiting(own_redis, broker.TRAIN), "a wake-up")
    assert caplog.text.count("Redis unavailable") == 1


def test_silent_redis_delays_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    with serving(tmp_path, redis_url=own_redis.url) as service:
        own_redis.freeze()
        harness = Harness(service)
        assert harness.read(harness.train())["state"] == "queued"
