"""Takes back what a worker that fell silent held, whoever that worker was; one reaper lives in each worker.

No wall clock decides: a lease is lost when *this* process has watched the same (token, beat) stand still long enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.artifacts.attempts import Attempt
from models.records import Lease, Records
from worker.jobs.notifier import Notifier
from worker.jobs.supervisor import log_tail

logger = logging.getLogger(__name__)


class Patience:
    """Remembers since when each lease's beat has stood still."""

    def __init__(self, lost_after_seconds: float, clock: Callable[[], float]) -> None:
        self._lost_after = lost_after_seconds
        self._clock = clock
        self._since: dict[str, tuple[int, int, float]] = {}
        self._last_look = clock()

    def lost(self, leases: Sequence[Lease]) -> list[Lease]:
        """Compare all leases with what was seen before, and give the lost ones. Call it every few seconds.

        Between two looks far apart (the database was away, this process was frozen, the machine asleep) the owners
        may have been kept from beating by the same cause: then everyone starts with a clean slate.
        """
        now = self._clock()
        if now - self._last_look > self._lost_after / 2:
            self._since.clear()
        self._last_look = now
        self._since = {lease.id: self._seen(lease, now) for lease in leases}
        lost = [lease for lease in leases if now - self._since[lease.id][2] >= self._lost_after]
        for lease in lost:
            del self._since[lease.id]
        return lost

    def _seen(self, lease: Lease, now: float) -> tuple[int, int, float]:
        before = self._since.get(lease.id)
        same = before is not None and before[:2] == (lease.token, lease.beat)
        return before if before is not None and same else (lease.token, lease.beat, now)


class Reaper:
    """Takes back runs and data sets."""

    def __init__(
        self,
        records: Records,
        notifier: Notifier,
        runs_dir: Path,
        lost_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._hints = notifier
        self._runs_dir = runs_dir
        self._lost_after = lost_after_seconds
        self._runs = Patience(lost_after_seconds, clock)
        self._datasets = Patience(lost_after_seconds, clock)

    def look(self) -> None:
        """Take back what is lost. Call it every few seconds.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        for lease in self._runs.lost(self._records.running()):
            self._take_back(lease)
        for lease in self._datasets.lost(self._records.preparing()):
            reason = self._silence(lease)
            taken = self._records.take_back_dataset(lease.id, lease.token, lease.beat, reason)
            if taken is not None:
                logger.warning("data set %s, token %d, is now %s: %s", taken.name, lease.token, taken.state, reason)
                self._hints.dataset(taken.name)

    def _silence(self, lease: Lease) -> str:
        return f"worker {lease.worker} gave no sign of life for {self._lost_after:g} s"

    def _take_back(self, lease: Lease) -> None:
        reason = self._silence(lease)
        tail = log_tail(Attempt(self._runs_dir / lease.id, lease.token).log)
        taken = self._records.take_back(lease.id, lease.token, lease.beat, reason + tail)
        if taken is not None:
            logger.warning("run %s, token %d, is now %s: %s", lease.id, lease.token, taken.state, reason)
            self._hints.run(lease.id)
