"""Takes back runs whose worker fell silent, whoever that worker was; one reaper lives in each worker.

No wall clock decides: a run is lost when *this* process has watched the same (token, beat) stand still long enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from models.artefacts import Attempt
from models.records import Records
from worker.hints import Hints
from worker.supervisor import log_tail

logger = logging.getLogger(__name__)


class Reaper:
    """Remembers since when each running run's beat has stood still."""

    def __init__(
        self,
        records: Records,
        hints: Hints,
        runs_dir: Path,
        lost_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._hints = hints
        self._runs_dir = runs_dir
        self._lost_after = lost_after_seconds
        self._clock = clock
        self._since: dict[str, tuple[int, int, float]] = {}
        self._last_look = clock()

    def look(self) -> None:
        """Compare all leases with what was seen before, and take back the lost ones. Call it every few seconds.

        Between two looks far apart (the database was away, this process was frozen, the machine asleep) the owners
        may have been kept from beating by the same cause: then everyone starts with a clean slate.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        leases = self._records.running()
        now = self._clock()
        if now - self._last_look > self._lost_after / 2:
            self._since.clear()
        self._last_look = now
        self._since = {lease.id: self._seen(lease.id, lease.token, lease.beat, now) for lease in leases}
        for lease in leases:
            if now - self._since[lease.id][2] >= self._lost_after:
                self._take_back(lease.id, lease.token, lease.beat, lease.worker)

    def _seen(self, run: str, token: int, beat: int, now: float) -> tuple[int, int, float]:
        before = self._since.get(run)
        return before if before is not None and before[:2] == (token, beat) else (token, beat, now)

    def _take_back(self, run: str, token: int, beat: int, worker: str | None) -> None:
        reason = f"worker {worker} gave no sign of life for {self._lost_after:g} s"
        tail = log_tail(Attempt(self._runs_dir / run, token).log)
        taken = self._records.take_back(run, token, beat, reason + tail)
        del self._since[run]
        if taken is not None:
            logger.warning("run %s, token %d, is now %s: %s", run, token, taken.state, reason)
            self._hints.run(run)
