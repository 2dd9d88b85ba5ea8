"""Supervised trainings of runs; `worker.jobs.train` is the process."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence

from models.artifacts.attempts import Attempt, Position
from models.artifacts.events import EventWriter
from models.records import Records, Run
from worker.jobs.exit_codes import ExitCode
from worker.jobs.notifier import Notifier
from worker.jobs.supervisor import Job, JobResult, Supervisor, describe_death, log_tail
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

TRAINER = (sys.executable, "-m", "worker.jobs.train")
TORCHRUN = (sys.executable, "-m", "worker.jobs.torchrun")


class RunJob(Job):
    """One attempt at a run."""

    process_name = "the training process"

    def __init__(
        self, run: Run, records: Records, settings: WorkerSettings, notifier: Notifier, command: Sequence[str]
    ) -> None:
        """Describe the attempt of a claim; the run's id and token are appended to `command`."""
        self._attempt = Attempt(settings.runs_dir / run.id, run.token)
        command = command if run.devices == 1 else (*TORCHRUN, str(run.devices))
        super().__init__(f"run {run.id}, token {run.token}", [*command, run.id, str(run.token)], self._attempt.log)
        self._run = run
        self._records = records
        self._notifier = notifier
        self._beat_seconds = settings.beat_seconds
        # `wanted` is read more often than the row is written: requests to stop are noticed quickly, writes stay rare.
        self._next_beat = time.monotonic()
        self._reported = Position(0, 0)
        self._event_bytes = 0

    def prepare(self) -> None:
        self._announce(self._run)

    def not_started(self, error: OSError) -> JobResult:
        # A folder that cannot be written now cannot be written in a minute.
        return JobResult("failed", f"the worker could not start the training: {error}")

    def beat(self) -> bool:
        if time.monotonic() >= self._next_beat:
            self._records.beat_run(self._run.claim)
            self._next_beat = time.monotonic() + self._beat_seconds
        wanted = self._records.wanted(self._run.claim)
        self.report_checkpoint()
        return wanted is not None

    def report_checkpoint(self) -> None:
        """Reset the count of deaths if this attempt has come further since the last report."""
        # Coming as far as its start once more is no progress: a crash loop must end after three deaths.
        reached = newest_checkpoint(self._attempt)
        if reached > max(self._reported, self._attempt.start() or Position(0, 0)):
            self._records.reset_failures(self._run.claim)
            self._reported = reached

    def poll(self) -> str | None:
        try:
            size = self._attempt.events.stat().st_size
        except FileNotFoundError:
            size = 0
        if size != self._event_bytes:
            self._event_bytes = size
            self._notifier.run_changed(self._run.id)
        # A training never counts as stalled: a step or an evaluation may take long.
        return None

    def result(self, code: int | None, stopped: bool) -> JobResult | None:
        match code:
            case ExitCode.COMPLETED:
                return JobResult("succeeded")
            case ExitCode.REFUSED:
                return JobResult("failed", self._failure())
            case ExitCode.FENCED:
                return None
        # A process that is killed because it stopped too slowly hands over like one that wrote a checkpoint: its newest
        # checkpoint is only older.
        if code == ExitCode.STOPPED or (stopped and code in (-signal.SIGKILL, -signal.SIGTERM)):
            # Queued also where a pause or a cancel was wanted: the statement that releases the row reads `wanted`.
            return JobResult("queued")
        return JobResult("queued", describe_death(self.process_name, code, self.log), died=True)

    def release(self, result: JobResult) -> str:
        self.report_checkpoint()
        released = self._records.release_run(self._run.claim, result.outcome, error=result.error, died=result.died)
        try:
            # The row is released: an event that cannot be written (a full disk) must not fail the run.
            self._announce(released)
        except OSError as error:
            logger.warning("%s: its last event could not be written: %s", self.name, error)
        return released.state

    def _announce(self, run: Run) -> None:
        EventWriter(self._attempt).append("state", {"state": run.state, "error": run.error, "failures": run.failures})
        self._notifier.run_changed(run.id)

    def _failure(self) -> str:
        try:
            return str(json.loads((self._attempt.dir / "failure.json").read_text())["reason"])
        except (OSError, ValueError, KeyError):
            return "the training cannot continue and left no reason" + log_tail(self.log)


def newest_checkpoint(attempt: Attempt) -> Position:
    """Return the position of an attempt's newest checkpoint by file names; the start if there is none."""
    found = (Position.parse(path.name) for path in attempt.checkpoints.glob("[0-9]*"))
    return max((position for position in found if position is not None), default=Position(0, 0))


class RunJobs:
    """Claims runs and trains them, one after the other."""

    def __init__(
        self,
        records: Records,
        settings: WorkerSettings,
        notifier: Notifier,
        stopping: threading.Event,
        command: Sequence[str] = TRAINER,
    ) -> None:
        self._records = records
        self._settings = settings
        self._notifier = notifier
        self._stopping = stopping
        self._command = command
        self._supervisor = Supervisor(settings, stopping)

    def work(self, worker: str, devices: int) -> None:
        """Claim and supervise runs until none is left or this worker must stop.

        Raises:
            RecordsUnavailable: the database did not respond; the next call continues.
        """
        while not self._stopping.is_set() and (run := self._records.claim_run(worker, devices)) is not None:
            self.supervise(run)

    def supervise(self, run: Run) -> None:
        """Supervise a claimed run until its process has ended and its row has the result."""
        self._supervisor.supervise(RunJob(run, self._records, self._settings, self._notifier, self._command))
