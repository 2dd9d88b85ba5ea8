"""Keeps the lease of one run while its child works: beats, reads `wanted`, reports checkpoints.

On a thread of its own, so that a database that hangs delays no signal.
"""

from __future__ import annotations

import logging
import threading
import time

from models.artifacts.attempts import Attempt, Position
from models.records import LeaseLost, Records, RecordsUnavailable, Run

logger = logging.getLogger(__name__)


class Lease:
    """One claim of one run, told apart from others by its fencing token."""

    def __init__(self, records: Records, run: Run, attempt: Attempt, poll_seconds: float, beat_seconds: float) -> None:
        self.stop_wanted = False
        """Somebody asked for a pause or a cancel; which of them, the row knows."""
        self.lost = False
        """Another worker owns the run, or nobody does."""
        self._records = records
        self._run = run
        self._attempt = attempt
        self._poll_seconds = poll_seconds
        self._beat_seconds = beat_seconds
        self._next_beat = time.monotonic()
        self._reported = Position(0, 0)
        self._away = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{run.id}", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no longer; waits for a word with the database that is under way."""
        self._ended.set()
        self._thread.join()

    def report_checkpoint(self) -> None:
        """Let earlier deaths be forgotten if this attempt has come further since the last report.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        reached = newest_checkpoint(self._attempt)
        if reached > max(self._reported, self._attempt.start() or Position(0, 0)):
            self._records.checkpointed(self._run.id, self._run.token)
            self._reported = reached

    def _keep(self) -> None:
        try:
            while not self._ended.wait(self._poll_seconds):
                self._tend()
        except LeaseLost:
            logger.warning("run %s: the lease was lost", self._run.id)
        finally:
            # Whatever else ended this loop: without a beat the run will be another's.
            self.lost = not self._ended.is_set()

    def _tend(self) -> None:
        try:
            if time.monotonic() >= self._next_beat:
                if self._records.beat(self._run.id, self._run.token) is None:
                    raise LeaseLost(f"run {self._run.id} has a newer token than {self._run.token}")
                self._next_beat = time.monotonic() + self._beat_seconds
            self.stop_wanted = self._records.wanted(self._run.id, self._run.token) is not None
            self.report_checkpoint()
        except RecordsUnavailable as error:
            if not self._away:
                logger.warning("run %s goes on without the database, which is away: %s", self._run.id, error)
            self._away = True
        else:
            self._away = False


def newest_checkpoint(attempt: Attempt) -> Position:
    """Give the position of an attempt's newest checkpoint, the start if it has none; only names are looked at."""
    found = (Position.parse(path.name) for path in attempt.checkpoints.glob("[0-9]*"))
    return max((position for position in found if position is not None), default=Position(0, 0))
