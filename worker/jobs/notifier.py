"""Notifications to the app, through Redis, about changed runs and data sets; files and rows have the details."""

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
    """Publishes notifications; an absent Redis is logged once, and is never an error."""

    def __init__(self, redis_url: str) -> None:
        # Short time-outs, no retries: a lost notification only delays a page, a slow one delays the training.
        self._redis = redis.Redis.from_url(
            broker.client_url(redis_url),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._away = False

    def run_changed(self, run_id: str) -> None:
        """Announce that a run has a new state or new events."""
        self._publish({"run": run_id})

    def dataset_changed(self, name: str) -> None:
        """Announce that a data set has a new state or more progress."""
        self._publish({"dataset": name})

    def close(self) -> None:
        self._redis.close()

    def _publish(self, message: dict[str, str]) -> None:
        try:
            self._redis.publish(broker.CHANNEL, json.dumps(message))
        except redis.RedisError as error:
            if not self._away:
                logger.warning("Redis is away, pages will be slower to notice changes: %s", error)
            self._away = True
        else:
            self._away = False
