"""Sees one run through: starts its child, relays pause, cancel and handover, and writes down how it ended.

The lease is `worker.jobs.heartbeat`'s, the training itself the child's (`worker.jobs.train`).
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.artifacts.attempts import Attempt
from models.artifacts.events import EventWriter
from models.records import LeaseLost, Records, RecordsUnavailable, Run
from worker.jobs.exit_codes import ExitCode
from worker.jobs.heartbeat import Lease
from worker.jobs.notifier import Notifier
from worker.jobs.process import Child
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

TRAINER = (sys.executable, "-m", "worker.jobs.train")
RANKS = (sys.executable, "-m", "worker.jobs.torchrun")
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Ending:
    """What becomes of a run after its child: `died` counts as a failure and is tried again, within bounds."""

    outcome: Literal["succeeded", "failed", "queued"]
    error: str | None = None
    died: bool = False


class Supervisor:
    """Sees runs through, one after the other."""

    def __init__(
        self,
        records: Records,
        settings: WorkerSettings,
        notifier: Notifier,
        stopping: threading.Event,
        command: Sequence[str] = TRAINER,
    ) -> None:
        """Prepare; `stopping` asks for a handover, `command` trains a run on one device, its id and token appended."""
        self._records = records
        self._settings = settings
        self._hints = notifier
        self._stopping = stopping
        self._command = command

    def supervise(self, run: Run) -> None:
        """Work on a claimed run until its child has ended and its row says how."""
        attempt = Attempt(self._settings.runs_dir / run.id, run.token)
        lease = Lease(self._records, run, attempt, self._settings.poll_seconds, self._settings.beat_seconds)
        lease.start()
        try:
            ending = self._train(run, attempt, lease)
        except OSError as error:
            logger.exception("run %s could not be started", run.id)
            ending = Ending("failed", f"the worker could not start the training: {error}")
        finally:
            lease.stop()
        if ending is None or lease.lost:
            logger.warning("run %s, token %d: the lease was lost, another attempt owns it", run.id, run.token)
            return
        self._release(run, attempt, lease, ending)

    def _train(self, run: Run, attempt: Attempt, lease: Lease) -> Ending | None:
        """Run the child to its end; None if the run is no longer ours."""
        self._announce(run, attempt)
        command = self._command if run.devices == 1 else (*RANKS, str(run.devices))
        child = Child([*command, run.id, str(run.token)], attempt.log)
        logger.info("run %s, token %d: training in process %d", run.id, run.token, child.pid)
        try:
            stopped = self._watch(child, run, attempt, lease)
        finally:
            child.kill()
        return judge(child.poll(), stopped, attempt)

    def _watch(self, child: Child, run: Run, attempt: Attempt, lease: Lease) -> bool:
        """Wait for the child's end, relaying what is asked for; tell whether it was asked to stop."""
        deadline: float | None = None
        size = 0
        while child.poll() is None and not lease.lost:
            if deadline is None and (lease.stop_wanted or self._stopping.is_set()):
                child.ask_to_stop()
                deadline = time.monotonic() + self._settings.grace_seconds
            if deadline is not None and time.monotonic() > deadline:
                logger.error("run %s wrote no checkpoint in %g s and is killed", run.id, self._settings.grace_seconds)
                break
            if (grown := _size(attempt.events)) != size:
                size = grown
                self._hints.run(run.id)
            time.sleep(self._settings.poll_seconds / 4)
        return deadline is not None

    def _release(self, run: Run, attempt: Attempt, lease: Lease, ending: Ending) -> None:
        """Write the ending into the row, however long the database is away, unless the worker has to go."""
        deadline: float | None = None
        while True:
            try:
                lease.report_checkpoint()
                released = self._records.release(
                    run.id, run.token, ending.outcome, error=ending.error, died=ending.died
                )
                break
            except LeaseLost:
                logger.warning("run %s, token %d: its ending came too late, another attempt owns it", run.id, run.token)
                return
            except RecordsUnavailable as error:
                logger.warning("run %s has ended (%s), the database is away: %s", run.id, ending.outcome, error)
            if deadline is None and self._stopping.is_set():
                deadline = time.monotonic() + self._settings.grace_seconds
            if deadline is not None and time.monotonic() > deadline:
                logger.error("run %s is left to another worker's reaper", run.id)
                return
            time.sleep(self._settings.poll_seconds)
        if released is not None:
            logger.info("run %s, token %d: %s", run.id, run.token, released.state)
            try:
                self._announce(released, attempt)
            except OSError as error:
                logger.warning("run %s: its last event could not be written: %s", run.id, error)

    def _announce(self, run: Run, attempt: Attempt) -> None:
        EventWriter(attempt).append("state", {"state": run.state, "error": run.error, "failures": run.failures})
        self._hints.run(run.id)


def judge(code: int | None, stopped: bool, attempt: Attempt) -> Ending | None:
    """Decide what an exit code means.

    A child that stopped hands its run back as queued: where a pause or a cancel was wanted, the row's own `wanted`
    turns that into paused or cancelled, in the same statement.

    Args:
        code: the child's exit code, or minus the signal that killed it.
        stopped: whether it had been asked to stop; then being killed for lateness is no failure.
        attempt: where it left its log and its reasons.

    Returns:
        The ending, or None where the run belongs to another attempt.
    """
    match code:
        case ExitCode.COMPLETED:
            return Ending("succeeded")
        case ExitCode.REFUSED:
            return Ending("failed", _reason(attempt))
        case ExitCode.FENCED:
            return None
    if code == ExitCode.STOPPED or (stopped and code in (-signal.SIGKILL, -signal.SIGTERM)):
        return Ending("queued")
    return Ending("queued", describe_death("the training process", code, attempt.log), died=True)


def describe_death(child: str, code: int | None, log: Path) -> str:
    """Say in words how a child, named so, died, with the tail of its log."""
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (perhaps by the system, for want of memory)"
    else:
        how = f"ended with exit code {code}"
    return f"{child} {how}{log_tail(log)}"


def log_tail(log: Path) -> str:
    """Give the last lines of a log, as the end of a sentence."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, _size(log) - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        lines = []
    return "; its log ends with:\n" + "\n".join(lines) if lines else "; its log is empty"


def _reason(attempt: Attempt) -> str:
    try:
        return str(json.loads((attempt.dir / "failure.json").read_text())["reason"])
    except (OSError, ValueError, KeyError):
        return "the training refused to go on and left no reason" + log_tail(attempt.log)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
