"""Notifications, with Redis there and away."""

from __future__ import annotations

import logging

import pytest
import redis

from models import broker
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import until
from worker.jobs.notifier import Notifier


def test_absent_redis_is_logged_once_and_no_error(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(own_redis.url)
    own_redis.stop()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            notifier.run_changed("r")
    assert len(caplog.records) == 1
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(broker.CHANNEL)
        notifier.run_changed("r")
        message = until(lambda: listener.get_message(timeout=0.1), "a notification")
    assert message["data"] == b'{"run": "r"}'
    notifier.close()


def test_hanging_redis_delays_nobody_for_long(own_redis: RedisServer) -> None:
    notifier = Notifier(own_redis.url)
    notifier.run_changed("r")
    own_redis.freeze()
    notifier.run_changed("r")
    notifier.close()
