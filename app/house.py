"""What lives as long as the app: model directory, records, sampler, wake-ups, keys. It starts and stops them, no more.

Only the model directory is needed to start: with the database or Redis away sampling goes on, and each is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from app.metrics import Metrics
from app.security import Keys
from app.settings import AppSettings
from app.wakeups import Wakeups
from models.directory import ModelDirectory
from models.records import Records, RecordsUnavailable

if TYPE_CHECKING:
    from app.engine import Sampler

log = logging.getLogger(__name__)

DATABASE_SECONDS = 5.0


class UnsafeStart(Exception):
    """The service would be open to others by accident."""


class House:
    """Everything that requests share; `app.state.house`."""

    sampler: Sampler

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.directory = ModelDirectory(settings.model_dir, settings.model)
        self.records = Records(settings.database_url)
        self.wakeups = Wakeups(settings.redis_url)
        self.keys = Keys(required=settings.keys_required)
        self.metrics = Metrics()
        self.database = "not asked yet"
        self.stopping = asyncio.Event()
        """Set when the service is about to end: event streams close."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open everything; what is away is tried again in the background.

        Raises:
            UnsafeStart: others can reach this address, and no key exists.
        """
        answered = await self._ask_database(migrate=True)
        if self.settings.keys_required and answered and not self.keys.any():
            raise UnsafeStart(
                f"{self.settings.host} can be reached by others and there are no keys. Make one with "
                "`atelier keys add NAME`, or listen on 127.0.0.1, or set ATELIER_AUTH=off to let everybody in"
            )
        # Torch is needed from here on, by nothing before; its import takes seconds and would block the loop.
        self.sampler = await asyncio.to_thread(self._new_sampler)
        await self.sampler.start()
        await self.wakeups.start()
        self._tasks = [asyncio.create_task(self._watch_database(answered), name="database")]

    async def stop(self) -> None:
        """Close everything, in the opposite order."""
        self.stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wakeups.stop()
        await self.sampler.stop()
        await asyncio.to_thread(self.records.close)

    def _new_sampler(self) -> Sampler:
        from app.engine import Sampler

        return Sampler(
            self.directory,
            device=self.settings.device,
            threads=self.settings.engine_threads,
            calibration_dir=self.settings.calibration_dir,
            budget_bytes=self.settings.loaded_bytes,
        )

    async def _watch_database(self, migrated: bool) -> None:
        """Ask now and then: keys made or revoked elsewhere count within seconds, and so does the database's return."""
        while True:
            await asyncio.sleep(DATABASE_SECONDS)
            migrated = await self._ask_database(migrate=not migrated) or migrated

    async def _ask_database(self, *, migrate: bool) -> bool:
        try:
            if migrate:
                await asyncio.to_thread(self.records.migrate)
            hashes = await asyncio.to_thread(self.records.key_hashes)
        except RecordsUnavailable as problem:
            if self.database != "away":
                log.warning("the database is away, sampling goes on without it: %s", problem)
            self.database = "away"
            return False
        if self.database == "away":
            log.warning("the database is back")
        self.database = "up"
        self.keys.load(hashes)
        return True
