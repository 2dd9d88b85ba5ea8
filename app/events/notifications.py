"""Notifications over Redis: wake-ups to the workers, change notifications from them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models import broker

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

# Any notification may be lost: workers check the queue at intervals, and event streams read files at least once a
# second. An unavailable Redis is therefore logged once and never an error.
TIMEOUT_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
MESSAGE_LIVES_SECONDS = 60

RedisState = Literal["up", "away", "none"]
_Message = tuple[str, str, tuple[object, ...]]


class Notifications:
    """Sends wake-ups from its own thread, and listens for the changes that workers publish."""

    def __init__(self, redis_url: str) -> None:
        self.state: RedisState = "away" if redis_url else "none"
        self._url = redis_url
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="wake-ups")
        self._pending: set[_Message] = set()
        self._lock = threading.Lock()
        self._logged = False

    async def start(self) -> None:
        """Start listening, if there is a Redis."""
        if self._url:
            self._listening = asyncio.create_task(self._listen(), name="notifications")

    async def stop(self) -> None:
        """Stop listening, and drop unsent wake-ups."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._sender.shutdown(wait=False, cancel_futures=True)

    # Change notifications from the workers.

    def next(self) -> asyncio.Event:
        """Return the event that the next change sets; take it before reading state."""
        # Taken afterwards, it would miss a change between the read and the wait.
        return self._changed

    def announce(self) -> None:
        """Wake everyone who waits for a change."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(
            broker.client_url(self._url),
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            while True:
                with contextlib.suppress(RedisError, OSError):
                    async with client.pubsub() as notifier:
                        await self._pass_on(notifier)
                self._note("away", "Redis unavailable: wake-ups are lost, changes show after up to a second")
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await client.aclose()

    async def _pass_on(self, notifier: PubSub) -> None:
        await notifier.subscribe(broker.CHANNEL)
        self._note("up", "connected to Redis")
        while True:
            if await notifier.get_message(ignore_subscribe_messages=True, timeout=SILENCE_SECONDS) is None:
                # Only a write notices a connection that died silently.
                await notifier.ping()
            else:
                self.announce()

    def _note(self, state: RedisState, message: str) -> None:
        if state != self.state or not self._logged:
            log.log(logging.INFO if state == "up" else logging.WARNING, message)
        self.state = state
        self._logged = True

    # Wake-ups to the workers.

    def look(self) -> None:
        """Wake a training worker to claim a run. Does not block."""
        self._send((broker.TRAIN_RUNS, broker.TRAIN, ()))

    def prepare(self, dataset: str, size: int, channels: int) -> None:
        """Wake a background worker to prepare a data set for a run. Does not block."""
        self._send((broker.PREPARE_DATASET, broker.BACKGROUND, (dataset, size, channels)))

    def look_at_uploads(self) -> None:
        """Wake a background worker to prepare uploaded data sets. Does not block."""
        self._send((broker.PREPARE_UPLOADS, broker.BACKGROUND, ()))

    def _send(self, message: _Message) -> None:
        if not self._url:
            return
        with self._lock:
            if message in self._pending:
                return
            self._pending.add(message)
        self._sender.submit(self._deliver, message)

    def _deliver(self, message: _Message) -> None:
        with self._lock:
            self._pending.discard(message)
        task, queue, arguments = message
        try:
            self._celery.send_task(
                task, arguments, queue=queue, expires=MESSAGE_LIVES_SECONDS, ignore_result=True, retry=False
            )
        except Exception as error:  # noqa: BLE001  # brokers raise anything, and a lost wake-up is harmless
            log.warning("could not send %s: %s; the workers will find the job at their next check", task, error)

    @cached_property
    def _celery(self) -> Celery:
        from celery import Celery

        celery = Celery("atelier", broker=broker.broker_url(self._url), set_as_current=False)
        celery.conf.update(
            broker_connection_retry=False,
            broker_connection_timeout=TIMEOUT_SECONDS,
            broker_transport_options={
                "socket_connect_timeout": TIMEOUT_SECONDS,
                "socket_timeout": TIMEOUT_SECONDS,
                "max_retries": 0,
            },
        )
        return celery
