"""What the app says and hears through Redis: "look" to the workers, "something is new" from them.

All of it may be lost. Workers look for runs by themselves now and then, event streams read files at least once a
second; so that Redis is away is told in the log once, and is never an error.
"""

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

from models import broker as messages

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
MESSAGE_LIVES_SECONDS = 60

RedisState = Literal["up", "away", "none"]
_Message = tuple[str, str, tuple[object, ...]]


class Notifications:
    """Sends wake-ups from a thread of its own, and passes on the hints that workers publish."""

    def __init__(self, redis_url: str) -> None:
        self.state: RedisState = "away" if redis_url else "none"
        self._url = redis_url
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="wakeups")
        self._waiting: set[_Message] = set()
        self._lock = threading.Lock()
        self._told = False

    async def start(self) -> None:
        """Begin to listen for hints."""
        if self._url:
            self._listening = asyncio.create_task(self._listen(), name="hints")

    async def stop(self) -> None:
        """Stop listening, and drop what could not be sent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._sender.shutdown(wait=False, cancel_futures=True)

    # Hints: from the workers.

    def next(self) -> asyncio.Event:
        """Give the event that the next hint sets: take it before looking, so that no hint is missed in between."""
        return self._news

    def announce(self) -> None:
        """Wake whoever waits: something may be new."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(
            messages.client_url(self._url),
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            while True:
                with contextlib.suppress(RedisError, OSError):
                    async with client.pubsub() as notifier:
                        await self._pass_on(notifier)
                self._note("away", "Redis is away: wake-ups are lost, news takes up to a second")
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await client.aclose()

    async def _pass_on(self, notifier: PubSub) -> None:
        await notifier.subscribe(messages.CHANNEL)
        self._note("up", "Redis answers")
        while True:
            if await notifier.get_message(ignore_subscribe_messages=True, timeout=SILENCE_SECONDS) is None:
                # A connection that died without a word is noticed by writing to it.
                await notifier.ping()
            else:
                self.announce()

    def _note(self, state: RedisState, message: str) -> None:
        if state != self.state or not self._told:
            log.log(logging.INFO if state == "up" else logging.WARNING, message)
        self.state = state
        self._told = True

    # Wake-ups: to the workers.

    def look(self) -> None:
        """Tell a training worker that there may be a run to claim; returns at once."""
        self._send((messages.LOOK, messages.TRAIN, ()))

    def prepare(self, dataset: str, size: int, channels: int) -> None:
        """Tell a background worker that a data set will be needed; returns at once."""
        self._send((messages.PREPARE, messages.BACKGROUND, (dataset, size, channels)))

    def look_at_uploads(self) -> None:
        """Tell a background worker that there may be an uploaded data set to prepare; returns at once."""
        self._send((messages.PREPARE_UPLOADS, messages.BACKGROUND, ()))

    def _send(self, message: _Message) -> None:
        if not self._url:
            return
        with self._lock:
            if message in self._waiting:
                return
            self._waiting.add(message)
        self._sender.submit(self._deliver, message)

    def _deliver(self, message: _Message) -> None:
        with self._lock:
            self._waiting.discard(message)
        task, queue, arguments = message
        try:
            self._celery.send_task(
                task, arguments, queue=queue, expires=MESSAGE_LIVES_SECONDS, ignore_result=True, retry=False
            )
        except Exception as error:  # noqa: BLE001  # brokers raise what they like, and none of it matters
            log.warning("could not send %s: %s; the workers will look by themselves", task, error)

    @cached_property
    def _celery(self) -> Celery:
        from celery import Celery

        celery = Celery("atelier", broker=messages.broker_url(self._url), set_as_current=False)
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
