"""What lives as long as the app: model directory, records, sampler, wake-ups, keys. It starts and stops them, no more.

Only the model directory is needed to start: with the database or Redis away sampling goes on, and each is tried again.
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
from app.security.keys import Keys
from app.settings import AppSettings
from models.records import Records, RecordsUnavailable, Worker
from models.store.base import ModelStore
from models.store.local import LocalStore

if TYPE_CHECKING:
    from app.engine.engine import SamplingEngine

log = logging.getLogger(__name__)

DATABASE_SECONDS = 5.0
WORKER_SILENCE = timedelta(minutes=2)
"""A worker says that it is there every few seconds; one that was killed leaves its row behind."""


class UnsafeStart(Exception):
    """The service would be open to others by accident."""


class AppState:
    """Everything that requests share; `app.state.atelier`."""

    engine: SamplingEngine
    _loop: asyncio.AbstractEventLoop
    _watcher: asyncio.Task[None]

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.store: ModelStore = LocalStore(settings.model_dir, settings.model)
        self.records = Records(settings.database_url)
        self.notifications = Notifications(settings.redis_url)
        self.keys = Keys(required=settings.keys_required)
        self.metrics = Metrics()
        self.answer_cache = AnswerCache(settings.answer_cache_bytes)
        self.request_cache: RequestCache[Response] = RequestCache()
        self.single_flight = SingleFlight()
        self.stopping = False
        """The service is about to end: event streams close."""
        self.streams = 0
        """Event streams that are open."""
        self.drawing = threading.Semaphore(2)
        """Charts and films at once: more of them would only take the cores from the sampler."""
        self._migrated = False
        self._database_away = False

    async def start(self) -> None:
        """Open everything; what is away is tried again in the background.

        Raises:
            UnsafeStart: others can reach this address, and no key exists.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.open_database)
        # Torch is needed from here on, by nothing before; its import takes seconds and would block the loop.
        self.engine = await asyncio.to_thread(self._new_engine)
        await self.engine.start()
        await self.notifications.start()
        self._watcher = asyncio.create_task(self._watch_database(), name="database")

    def open_database(self) -> None:
        """Migrate the database and read the keys, unless that is done; a database that is away is no error here.

        Raises:
            UnsafeStart: others can reach this address, and no key exists.
        """
        if self._ask_database() and self.settings.keys_required and not self.keys.any():
            raise UnsafeStart(
                f"{self.settings.host} can be reached by others and there are no keys. Make one with "
                "`atelier keys add NAME`, or listen on 127.0.0.1, or set ATELIER_AUTH=off to let everybody in"
            )

    async def stop(self) -> None:
        """Close everything, in the opposite order."""
        self._end_streams()
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        await self.notifications.stop()
        await self.engine.stop()
        await asyncio.to_thread(self.records.close)

    def runs_changed(self) -> None:
        """Tell workers and event streams to look at the runs; from any thread."""
        self.notifications.look()
        self._loop.call_soon_threadsafe(self.notifications.announce)

    def workers(self) -> list[Worker]:
        """List the workers that are there.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        now = datetime.now(UTC)
        return [worker for worker in self.records.workers() if now - worker.seen_at < WORKER_SILENCE]

    def end_streams(self) -> None:
        """Let event streams end; from any thread and from a signal handler."""
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
        """Ask now and then: keys made or revoked elsewhere count within seconds, and so does the database's return."""
        while True:
            await asyncio.sleep(DATABASE_SECONDS)
            await asyncio.to_thread(self._ask_database)

    def _ask_database(self) -> bool:
        try:
            if not self._migrated:
                self.records.migrate()
                self._migrated = True
            self.keys.load(self.records.key_hashes())
        except RecordsUnavailable as problem:
            if not self._database_away:
                log.warning("the database is away, sampling goes on without it: %s", problem)
            self._database_away = True
            return False
        if self._database_away:
            log.warning("the database is back")
        self._database_away = False
        return True
