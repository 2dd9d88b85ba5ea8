"""The training floor: what one worker process does beside listening to Celery.

It looks for runs by itself, so that neither a lost message nor an absent Redis strands one; it shows that it is there;
it reaps; and it sees to it that the process ends when asked to, whatever state Celery's connection is in.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

from models.records import Records, RecordsUnavailable, Run
from worker.devices import device_count
from worker.jobs.background import BackgroundJobs
from worker.jobs.notifier import Notifier
from worker.jobs.reaper import Reaper
from worker.jobs.supervisor import TRAINER, Supervisor
from worker.settings import WorkerSettings, settings

logger = logging.getLogger(__name__)

RELEASE_SECONDS = 5.0
"""After a training's grace: to kill it and write down how it ended."""
CELERY_SECONDS = 3.0
"""For Celery to leave by itself once no work is left."""


class WorkerService:
    """One worker process's threads and what they share."""

    def __init__(self, settings: WorkerSettings, command: Sequence[str] = TRAINER) -> None:
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._settings = settings
        self._devices = device_count(settings.device)
        self._records = Records(settings.database_url)
        self._hints = Notifier(settings.redis_url)
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._working = threading.Lock()
        self._doing_chores = threading.Lock()
        self._opening = threading.Lock()
        self._opened = False
        self._supervisor = Supervisor(self._records, settings, self._hints, self._stopping, command)
        self._chores = BackgroundJobs(self._records, settings, self._hints, self._stopping)
        self._reaper = Reaper(self._records, self._hints, settings.runs_dir, settings.lost_after_seconds)
        self._threads: list[threading.Thread] = []

    def start(self, queue: str, *, trains: bool, prepares: bool) -> None:
        """Start the threads.

        Args:
            queue: the names of the queues this worker serves, for the list of workers.
            trains: whether to look for runs; a worker that only does background must not.
            prepares: whether to look for uploaded data sets; a worker that only trains must not.
        """
        self._every(self._settings.look_seconds, "housekeeping", lambda: self._keep_house(queue))
        if trains:
            self._every(self._settings.look_seconds, "lookout", self.work)
        if prepares:
            self._every(self._settings.look_seconds, "background", self.run_background)
        threading.Thread(target=self._close, name="closer", daemon=True).start()

    def ask_to_stop(self) -> None:
        """Let the run under way be handed over; claim no other. May be called in a signal handler, and again."""
        if not self._stopping.is_set():
            self._stopping.set()

    def wait_until_closed(self) -> None:
        """Wait until no work is left; the process ends by itself if that takes too long."""
        self._closed.wait()

    def work(self) -> None:
        """Claim runs and see them through until none is left or this worker has to go.

        Celery's task and the lookout both call this; the lock makes them one worker.

        Raises:
            RecordsUnavailable: the database did not answer; nothing is lost, the next look claims.
        """
        self._open()
        with self._working:
            while (run := self._claim()) is not None:
                self._supervisor.supervise(run)

    def run_background(self) -> None:
        """Claim uploaded data sets and prepare them until none waits or this worker has to go.

        Raises:
            RecordsUnavailable: the database did not answer; nothing is lost, the next look claims.
        """
        self._open()
        with self._doing_chores:
            self._chores.work(self.worker)

    def _open(self) -> None:
        """Bring the database to this version's tables, once it answers."""
        with self._opening:
            if not self._opened:
                self._records.migrate()
                self._opened = True

    def _claim(self) -> Run | None:
        return None if self._stopping.is_set() else self._records.claim(self.worker, self._devices)

    def _keep_house(self, queue: str) -> None:
        self._open()
        self._records.worker_seen(self.worker, socket.gethostname(), os.getpid(), self._devices, queue)
        self._reaper.look()

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
                    # A bug met by one run must not end the looking for others.
                    logger.exception("%s failed and goes on in %g s", name, seconds)
                self._stopping.wait(seconds)

        thread = threading.Thread(target=loop, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _close(self) -> None:
        """Once asked to stop: wait for the work to end, sign off, and make sure that the process does end.

        Celery's own way out waits for its broker connection in more than one place, and a database can hang; nothing
        that matters is held in this process then, so it may be cut short.
        """
        self._stopping.wait()
        deadline = time.monotonic() + self._settings.grace_seconds + RELEASE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not all(
            lock.acquire(timeout=max(0.0, deadline - time.monotonic())) for lock in (self._working, self._doing_chores)
        ):
            logger.error("the work did not end in time: leaving it to another worker's reaper")
            os._exit(1)
        try:
            self._records.worker_gone(self.worker)
        except RecordsUnavailable as error:
            logger.warning("could not sign off: %s", error)
        self._closed.set()
        time.sleep(CELERY_SECONDS)
        logger.warning("Celery is still waiting for Redis: leaving without it")
        os._exit(0)


@cache
def floor() -> WorkerService:
    """Give this process's floor."""
    return WorkerService(settings())
