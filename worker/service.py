"""The worker service: a worker process's threads beside Celery. They poll for work, register the worker, and reap."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

from models.records import Records, RecordsUnavailable
from worker.jobs.datasets import DatasetJobs
from worker.jobs.notifier import Notifier
from worker.jobs.reaper import Reaper
from worker.jobs.runs import TRAINER, RunJobs
from worker.settings import WorkerSettings, device_count, settings

logger = logging.getLogger(__name__)

# After a job's grace: to kill its process and write how it ended.
RELEASE_SECONDS = 5.0
# For Celery to exit by itself once no work is left.
CELERY_SECONDS = 3.0


class WorkerService:
    """One worker process's threads and their shared state."""

    def __init__(self, settings: WorkerSettings, command: Sequence[str] = TRAINER) -> None:
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._settings = settings
        self._devices = device_count(settings.device)
        self._records = Records(settings.database_url)
        notifier = Notifier(settings.redis_url)
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._training = threading.Lock()
        self._preparing = threading.Lock()
        self._migrating = threading.Lock()
        self._migrated = False
        self._runs = RunJobs(self._records, settings, notifier, self._stopping, command)
        self._datasets = DatasetJobs(self._records, settings, notifier, self._stopping)
        self._reaper = Reaper(self._records, notifier, settings.runs_dir, settings.lost_after_seconds)
        self._threads: list[threading.Thread] = []

    def start(self, queue: str, *, trains: bool, prepares: bool) -> None:
        """Start the threads.

        Args:
            queue: the names of the queues this worker serves, for the list of workers.
            trains: whether to claim runs; false for a worker that only prepares data sets.
            prepares: whether to claim uploaded data sets; false for a worker that only trains.
        """
        # Polling: neither a lost message nor an absent Redis may strand a run.
        self._every(self._settings.look_seconds, "registration", lambda: self._register_and_reap(queue))
        if trains:
            self._every(self._settings.look_seconds, "training", self.train_runs)
        if prepares:
            self._every(self._settings.look_seconds, "preparation", self.prepare_datasets)
        threading.Thread(target=self._close, name="closer", daemon=True).start()

    def ask_to_stop(self) -> None:
        """Hand over the current job and claim no other. May be called repeatedly and in signal handlers."""
        # `set` takes a lock that is not reentrant: a second signal during the first must not wait for it.
        if not self._stopping.is_set():
            self._stopping.set()

    def wait_until_closed(self) -> None:
        """Wait until all work has ended."""
        # Bounded by `_close`, which ends the process when the work takes too long.
        self._closed.wait()

    def train_runs(self) -> None:
        """Claim and train runs until none is left or this worker must stop.

        Raises:
            RecordsUnavailable: the database did not respond; the next call continues.
        """
        self._migrate()
        with self._training:  # Celery's task and the polling thread both call this
            self._runs.work(self.worker, self._devices)

    def prepare_datasets(self) -> None:
        """Claim and prepare uploaded data sets until none waits or this worker must stop.

        Raises:
            RecordsUnavailable: the database did not respond; the next call continues.
        """
        self._migrate()
        with self._preparing:
            self._datasets.work(self.worker)

    def _migrate(self) -> None:
        # Not at the start: a worker may start before its database.
        with self._migrating:
            if not self._migrated:
                self._records.migrate()
                self._migrated = True

    def _register_and_reap(self, queue: str) -> None:
        self._migrate()
        self._records.worker_seen(self.worker, socket.gethostname(), os.getpid(), self._devices, queue)
        self._reaper.reap()

    def _every(self, seconds: float, name: str, action: Callable[[], None]) -> None:
        def loop() -> None:
            away = False
            while not self._stopping.is_set():
                try:
                    action()
                    away = False
                except RecordsUnavailable as error:
                    if not away:
                        logger.warning("%s waits for the database: %s", name, error)
                    away = True
                except Exception:
                    # A bug that one run triggers must not end the search for others.
                    logger.exception("%s failed and will be tried again in %g s", name, seconds)
                self._stopping.wait(seconds)

        thread = threading.Thread(target=loop, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _close(self) -> None:
        """After a stop request: wait for the work to end, remove this worker's row, and end the process."""
        # Celery's own shutdown waits for its broker connection in more than one place, and a database can hang. Nothing
        # that matters is held in this process by then, so that it may be cut short.
        self._stopping.wait()
        deadline = time.monotonic() + self._settings.grace_seconds + RELEASE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not all(
            lock.acquire(timeout=max(0.0, deadline - time.monotonic())) for lock in (self._training, self._preparing)
        ):
            logger.error("the work did not end in time: leaving it to another worker's reaper")
            os._exit(1)
        try:
            self._records.worker_gone(self.worker)
        except RecordsUnavailable as error:
            logger.warning("could not leave the list of workers: %s", error)
        self._closed.set()
        time.sleep(CELERY_SECONDS)
        logger.warning("Celery is still waiting for Redis: exiting without it")
        os._exit(0)


@cache
def worker_service() -> WorkerService:
    return WorkerService(settings())
