"""Tells the app, through Redis, that a run has something new; what is new, it reads from files and rows."""

from __future__ import annotations

import json
import logging

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from models import broker

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0


class Notifier:
    """Publishes hints; that Redis is away is told once, and is never an error."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            broker.client_url(redis_url),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._away = False

    def run(self, identity: str) -> None:
        """Say that run `identity` has a new state or new events."""
        self._publish({"run": identity})

    def dataset(self, name: str) -> None:
        """Say that data set `name` has a new state or has come further."""
        self._publish({"dataset": name})

    def _publish(self, hint: dict[str, str]) -> None:
        try:
            self._redis.publish(broker.CHANNEL, json.dumps(hint))
        except redis.RedisError as error:
            if not self._away:
                logger.warning("Redis is away, pages will be slower to notice what is new: %s", error)
            self._away = True
        else:
            self._away = False

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()
