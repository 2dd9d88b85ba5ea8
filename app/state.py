"""State of the application: store, records, engine, notifications, keys; starts and stops them.

Only the model store is needed to start. Sampling works without the database and Redis; connections to both are retried.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.responses import Response

from app.events.notifications import Notifications
from app.metrics import Metrics
from app.sampling.cache import AnswerCache, RequestCache
from app.sampling.single_flight import SingleFlight
from app.security.keys import Authenticator
from app.settings import AppSettings
from models.records import Records, RecordsUnavailable, Worker
from models.store.base import ModelStore
from models.store.local import LocalStore

if TYPE_CHECKING:
    from app.engine.engine import SamplingEngine

log = logging.getLogger(__name__)

DATABASE_SECONDS = 5.0
# Workers report every few seconds; one that was killed leaves its row behind.
WORKER_SILENCE = timedelta(minutes=2)


class UnsafeStart(Exception):
    """The service would be accessible to others without a key."""


class AppState:
    """State that requests share, as `app.state.atelier`."""

    engine: SamplingEngine
    _loop: asyncio.AbstractEventLoop
    _watcher: asyncio.Task[None]

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.store: ModelStore = LocalStore(settings.model_dir, settings.model)
        self.records = Records(settings.database_url)
        self.notifications = Notifications(settings.redis_url)
        self.authenticator = Authenticator(required=settings.keys_required)
        self.metrics = Metrics()
        self.answer_cache = AnswerCache(settings.answer_cache_bytes)
        self.request_cache: RequestCache[Response] = RequestCache()
        self.single_flight = SingleFlight()
        # Set at shutdown: event streams close.
        self.stopping = False
        # Open event streams.
        self.streams = 0
        # Charts and animations rendered at once: more would only take cores from the engine.
        self.rendering = threading.Semaphore(2)
        self._migrated = False
        self._database_away = False

    async def start(self) -> None:
        """Open everything. A missing database or Redis is retried in the background.

        Raises:
            UnsafeStart: the address is reachable by others, and no key exists.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.open_database)
        # This imports torch, which takes seconds and would block the event loop.
        self.engine = await asyncio.to_thread(self._new_engine)
        await self.engine.start()
        await self.notifications.start()
        self._watcher = asyncio.create_task(self._watch_database(), name="database")

    def open_database(self) -> None:
        """Migrate the database, if that is not done, and read the keys.

        Raises:
            UnsafeStart: the address is reachable by others, and no key exists.
        """
        # An unavailable database is no error: sampling works without it.
        if self._read_database() and self.settings.keys_required and not self.authenticator.any():
            raise UnsafeStart(
                f"{self.settings.host} can be reached by others and there are no keys. Make one with "
                "`atelier keys add NAME`, or listen on 127.0.0.1, or set ATELIER_AUTH=off to allow everybody"
            )

    async def stop(self) -> None:
        """Close everything, in reverse order."""
        self._end_streams()
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        await self.notifications.stop()
        await self.engine.stop()
        await asyncio.to_thread(self.records.close)

    def runs_changed(self) -> None:
        """Notify workers and event streams of a changed run. Thread-safe."""
        self.notifications.look()
        self._loop.call_soon_threadsafe(self.notifications.announce)

    def workers(self) -> list[Worker]:
        """Return the workers that have reported within `WORKER_SILENCE`.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        now = datetime.now(UTC)
        return [worker for worker in self.records.workers() if now - worker.seen_at < WORKER_SILENCE]

    def end_streams(self) -> None:
        """End the event streams. Thread-safe, also from a signal handler."""
        self._loop.call_soon_threadsafe(self._end_streams)

    def _end_streams(self) -> None:
        self.stopping = True
        self.notifications.announce()

    def _new_engine(self) -> SamplingEngine:
        from app.engine.engine import SamplingEngine

        return SamplingEngine(
            self.store,
            device=self.settings.device,
            threads=self.settings.engine_threads,
            calibration_dir=self.settings.calibration_dir,
            budget_bytes=self.settings.loaded_bytes,
            max_wait_seconds=self.settings.max_wait_seconds,
            max_flight_bytes=self.settings.max_flight_bytes,
            observer=self.metrics.of,
        )

    async def _watch_database(self) -> None:
        # Keys that were made or revoked by other processes count within seconds.
        while True:
            await asyncio.sleep(DATABASE_SECONDS)
            await asyncio.to_thread(self._read_database)

    def _read_database(self) -> bool:
        try:
            if not self._migrated:
                self.records.migrate()
                self._migrated = True
            self.authenticator.load(self.records.key_hashes())
        except RecordsUnavailable as problem:
            if not self._database_away:
                log.warning("database unavailable, sampling continues without it: %s", problem)
            self._database_away = True
            return False
        if self._database_away:
            log.warning("the database is available again")
        self._database_away = False
        return True
