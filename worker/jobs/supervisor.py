"""Supervision of one claimed job, a run or a data set: its process, claim, handover and result."""

from __future__ import annotations

import logging
import signal
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from models.records import ClaimLost, RecordsUnavailable
from worker.jobs.process import JobProcess
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 8192


@dataclass(frozen=True)
class JobResult:
    """The result of a job's process; `died` counts as a failure and is retried within bounds."""

    outcome: Literal["succeeded", "failed", "queued"]
    error: str | None = None
    died: bool = False


class Job(ABC):
    """One claimed row and the process that works on it.

    Methods that change the row raise `ClaimLost`, and `RecordsUnavailable` while the database is away.
    """

    # For error messages: "the training process".
    process_name: ClassVar[str]

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        """Describe a job.

        Args:
            name: for log lines, with its kind: "run 01j9".
            command: the command line of the process.
            log: the file for its output.
        """
        self.name = name
        self.command = command
        self.log = log

    @abstractmethod
    def prepare(self) -> None:
        """Prepare the folder for the process, and announce the start; may raise OSError."""

    @abstractmethod
    def not_started(self, error: OSError) -> JobResult:
        """Return the result of a job whose process could not be started."""

    @abstractmethod
    def beat(self) -> bool:
        """Renew the claim; return whether a user wants the job to stop. Called on the heartbeat's thread."""

    @abstractmethod
    def poll(self) -> str | None:
        """Forward progress; return the reason if the process has stalled and must be killed."""

    @abstractmethod
    def result(self, code: int | None, stopped: bool) -> JobResult | None:
        """Interpret the end of the process.

        Args:
            code: its exit code, or minus the signal that killed it.
            stopped: whether a stop was requested; then a kill after the grace period is not a failure.

        Returns:
            The result; None if the process found that another attempt holds the row.
        """

    @abstractmethod
    def release(self, result: JobResult) -> str:
        """Write the result into the row, announce it, and return the row's new state."""


class Heartbeat:
    """Renews a job's claim while its process works."""

    def __init__(self, job: Job, seconds: float) -> None:
        # A user requested a pause or a cancel; the row has which.
        self.stop_wanted = False
        # Another worker holds the row, or nobody does.
        self.lost = False
        self._job = job
        self._seconds = seconds
        self._away = False
        self._ended = threading.Event()
        # A daemon: a database call that hangs must not keep the worker process from exiting.
        # A thread of its own: a database that hangs must not delay signals.
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {job.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current beat."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._seconds):
                self._beat()
        except ClaimLost as error:
            logger.warning("%s", error)
        finally:
            # After any other error too: without beats another worker will take the row.
            self.lost = not self._ended.is_set()

    def _beat(self) -> None:
        try:
            self.stop_wanted = self._job.beat()
        except RecordsUnavailable as error:
            # The process goes on: its row changes hands only if another worker sees that the beat no longer moves.
            if not self._away:
                logger.warning("%s continues without the database, which is away: %s", self._job.name, error)
            self._away = True
        else:
            self._away = False


class Supervisor:
    """Runs jobs, one after the other."""

    def __init__(self, settings: WorkerSettings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping

    def supervise(self, job: Job) -> None:
        """Work on a claimed job until its process has ended and its row has the result."""
        # Before the process: starting it may take longer than a claim survives without a beat.
        heartbeat = Heartbeat(job, self._settings.poll_seconds)
        heartbeat.start()
        try:
            result = self._execute(job, heartbeat)
        except OSError as error:
            logger.exception("%s could not be started", job.name)
            result = job.not_started(error)
        finally:
            # From here on only this thread changes the row.
            heartbeat.stop()
        if result is None or heartbeat.lost:
            logger.warning("%s: the claim was lost, another attempt holds it or it was deleted", job.name)
            return
        self._release(job, result)

    def _execute(self, job: Job, heartbeat: Heartbeat) -> JobResult | None:
        """Run the process to its end; return None if the claim is lost."""
        job.prepare()
        process = JobProcess(job.command, job.log)
        logger.info("%s: working in process %d", job.name, process.pid)
        try:
            stopped, stalled = self._watch(process, job, heartbeat)
        finally:
            # Also after its end: its own children must not outlive it.
            process.kill()
        if stalled is not None:
            return JobResult("queued", stalled, died=True)
        return job.result(process.poll(), stopped)

    def _watch(self, process: JobProcess, job: Job, heartbeat: Heartbeat) -> tuple[bool, str | None]:
        """Wait for the end of the process, and forward requests to stop.

        Returns:
            Whether a stop was requested, and the reason to kill the process if it has stalled.
        """
        deadline: float | None = None
        # A process whose claim is lost is killed at once: the next attempt may need its memory and its files.
        while process.poll() is None and not heartbeat.lost:
            if (stalled := job.poll()) is not None:
                return deadline is not None, stalled
            # SIGTERM lets the process write a checkpoint, or sync its journal; SIGKILL follows after the grace.
            if deadline is None and (heartbeat.stop_wanted or self._stopping.is_set()):
                process.terminate()
                deadline = time.monotonic() + self._settings.grace_seconds
            if deadline is not None and time.monotonic() > deadline:
                logger.error("%s did not stop in %g s and is killed", job.name, self._settings.grace_seconds)
                break
            time.sleep(self._settings.poll_seconds / 8)
        return deadline is not None, None

    def _release(self, job: Job, result: JobResult) -> None:
        deadline: float | None = None
        # Keep trying without a limit: while the database is away no reaper can take the row either, and giving up would
        # repeat the work. A worker that has to stop may wait only as long as its own deadline allows.
        while True:
            try:
                state = job.release(result)
            except ClaimLost as error:
                logger.warning("%s: its result came too late", error)
                return
            except RecordsUnavailable as error:
                logger.warning("%s has ended (%s), the database is away: %s", job.name, result.outcome, error)
            else:
                logger.info("%s: %s", job.name, state)
                return
            if deadline is None and self._stopping.is_set():
                deadline = time.monotonic() + self._settings.grace_seconds
            if deadline is not None and time.monotonic() > deadline:
                logger.error("%s is left to another worker's reaper", job.name)
                return
            time.sleep(self._settings.poll_seconds)


def describe_death(process_name: str, code: int | None, log: Path) -> str:
    """Describe how a process died, with the tail of its log."""
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (perhaps by the system, for want of memory)"
    else:
        how = f"ended with exit code {code}"
    return f"{process_name} {how}{log_tail(log)}"


def log_tail(log: Path) -> str:
    """Return the last lines of a log, as the end of a sentence."""
    try:
        with log.open("rb") as file:
            # A training's log may be large, and this text ends up in a row.
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        lines = []
    return "; its log ends with:\n" + "\n".join(lines) if lines else "; its log is empty"
