"""The reaper: takes back runs and data sets of silent workers; each worker has one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.artifacts.attempts import Attempt
from models.records import Claim, LeaseState, Records, Run
from worker.jobs.notifier import Notifier
from worker.jobs.supervisor import log_tail

logger = logging.getLogger(__name__)


class LeaseMonitor:
    """Times since when each claim's beat has not moved."""

    def __init__(self, lost_after_seconds: float, clock: Callable[[], float]) -> None:
        self._lost_after = lost_after_seconds
        self._clock = clock
        self._since: dict[Claim, tuple[int, float]] = {}
        self._last_call = clock()

    def expired(self, leases: Sequence[LeaseState]) -> list[LeaseState]:
        """Compare all leases with those of the last call; return the expired ones. Call it every few seconds."""
        # No wall clock decides: a lease has expired when this process has watched the same (token, beat) for long
        # enough.
        now = self._clock()
        # After a long gap (the database was away, this process was frozen, the machine asleep) the workers may have
        # been kept from beating by the same cause: watch everyone from now on.
        if now - self._last_call > self._lost_after / 2:
            self._since.clear()
        self._last_call = now
        before, self._since = self._since, {}
        for lease in leases:
            beat, since = before.get(lease.claim, (lease.beat, now))
            self._since[lease.claim] = (lease.beat, since if beat == lease.beat else now)
        expired = [lease for lease in leases if now - self._since[lease.claim][1] >= self._lost_after]
        # Should taking one back fail, its time starts again; another worker's reaper may be quicker.
        for lease in expired:
            del self._since[lease.claim]
        return expired


class Reaper:
    """Takes back expired claims."""

    def __init__(
        self,
        records: Records,
        notifier: Notifier,
        runs_dir: Path,
        lost_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._notifier = notifier
        self._runs_dir = runs_dir
        self._lost_after = lost_after_seconds
        self._monitor = LeaseMonitor(lost_after_seconds, clock)

    def reap(self) -> None:
        """Take back expired claims. Call it every few seconds.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        for lease in self._monitor.expired(self._records.leases()):
            reason = f"worker {lease.worker} gave no sign of life for {self._lost_after:g} s"
            taken = self._records.take_back(lease, reason + self._log_tail(lease.claim))
            if taken is None:  # it has beaten since the list was read, or another reaper was quicker
                continue
            logger.warning("%s, token %d, is now %s: %s", lease.claim, taken.token, taken.state, reason)
            if isinstance(taken, Run):
                self._notifier.run_changed(taken.id)
            else:
                self._notifier.dataset_changed(taken.name)

    def _log_tail(self, claim: Claim) -> str:
        # A preparation's log says nothing about its worker.
        return log_tail(Attempt(self._runs_dir / claim.id, claim.token).log) if claim.kind == "run" else ""
