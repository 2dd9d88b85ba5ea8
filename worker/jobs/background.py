"""Prepares uploaded data sets: claims one after the other, watches the process that works on it, writes how it ended.

The work is `worker.data.imports`'s. A row is held as a run's is: each beat carries the progress, and asks whether the
data set is still this worker's.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from models.datasets.uploads import Options, Report, UploadFolder, sweep
from models.records import Dataset, Records, RecordsUnavailable
from worker.jobs.exit_codes import ExitCode
from worker.jobs.notifier import Notifier
from worker.jobs.prepare import Job
from worker.jobs.process import Child
from worker.jobs.supervisor import describe_death
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

PREPARER = (sys.executable, "-m", "worker.jobs.prepare")


class BackgroundJobs:
    """Prepares data sets, one after the other."""

    def __init__(
        self,
        records: Records,
        settings: WorkerSettings,
        notifier: Notifier,
        stopping: threading.Event,
        command: Sequence[str] = PREPARER,
    ) -> None:
        """Prepare; `stopping` asks for a handover, `command` is what the job is appended to."""
        self._records = records
        self._settings = settings
        self._hints = notifier
        self._stopping = stopping
        self._command = command
        self._away = False

    def work(self, worker: str) -> None:
        """Claim data sets and prepare them until none waits or this worker has to go; then give back unused room.

        Raises:
            RecordsUnavailable: the database did not answer; nothing is lost, the next look claims.
        """
        while not self._stopping.is_set() and (dataset := self._records.claim_dataset(worker)) is not None:
            self._prepare(dataset)
        for dataset in self._records.list_datasets():
            if dataset.state == "failed":
                _discard(UploadFolder(self._settings.uploads_dir / dataset.id))
        sweep(self._settings.uploads_dir, lambda: {dataset.id for dataset in self._records.list_datasets()})

    def _prepare(self, dataset: Dataset) -> None:
        folder = UploadFolder(self._settings.uploads_dir / dataset.id)
        job = Job(id=dataset.id, name=dataset.name, options=Options.model_validate(dataset.options))
        try:
            folder.clear_failure()
            child = Child([*self._command, job.model_dump_json()], folder.log)
        except OSError as error:
            self._end(dataset, folder, f"the worker could not start the preparation: {error}")
            return
        logger.info("data set %s, token %d: preparing in process %d", dataset.name, dataset.token, child.pid)
        try:
            death = self._watch(child, dataset, folder)
        finally:
            child.kill()
        code = child.poll()
        late = self._stopping.is_set() and code == -signal.SIGKILL  # to hand over: no fault of the images
        self._end(dataset, folder, death if death is not None or late else _death(code, folder))

    def _watch(self, child: Child, dataset: Dataset, folder: UploadFolder) -> str | None:
        """Wait for the child's end; give why it has to be killed, if it has."""
        deadline: float | None = None
        seen, moved, next_beat = (0, 0), time.monotonic(), 0.0
        while child.poll() is None:
            now = time.monotonic()
            if (progress := folder.progress()) != seen:
                seen, moved = progress, now
            if now - moved > (patience := self._settings.prepare_stall_seconds):
                return f"it looked at no file for {patience:g} s, after {seen[0]:,} of {seen[1]:,}"
            held = True
            if now >= next_beat:
                held, next_beat = self._beat(dataset, progress), now + self._settings.poll_seconds
            if deadline is None and (self._stopping.is_set() or not held):
                child.ask_to_stop()
                deadline = now + self._settings.grace_seconds
            if deadline is not None and now > deadline:
                break
            time.sleep(self._settings.poll_seconds / 8)
        return None

    def _beat(self, dataset: Dataset, progress: tuple[int, int]) -> bool:
        """Beat, and tell whether the data set is still held; while the database is away, it is."""
        try:
            held = self._records.beat_dataset(dataset.id, dataset.token, *progress)
        except RecordsUnavailable as error:
            if not self._away:
                logger.warning("data set %s goes on without the database, which is away: %s", dataset.name, error)
            self._away = True
            return True
        self._away = False
        self._hints.dataset(dataset.name)
        return held

    def _end(self, dataset: Dataset, folder: UploadFolder, death: str | None) -> None:
        """Write the ending into the row, however long the database is away, unless this worker has to go."""
        while True:
            try:
                ended = self._release(dataset, folder, death)
                break
            except RecordsUnavailable as error:
                logger.warning("data set %s has ended, the database is away: %s", dataset.name, error)
            if self._stopping.wait(self._settings.poll_seconds):
                return
        if ended is None:
            logger.warning("data set %s, token %d: another holds it, or it was deleted", dataset.name, dataset.token)
            return
        logger.info("data set %s, token %d: %s", ended.name, ended.token, ended.state)
        self._hints.dataset(ended.name)

    def _release(self, dataset: Dataset, folder: UploadFolder, death: str | None) -> Dataset | None:
        held = dataset.id, dataset.token
        # How far it came counts before its death does: that it comes as far again is no progress of the next attempt's.
        self._records.beat_dataset(*held, *folder.progress())
        if death is not None:
            return self._records.release_dataset(*held, death=death)
        if (reason := folder.failure()) is not None:
            return self._records.fail_dataset(*held, reason)
        if (report := _report_of(folder, dataset)) is not None:
            return self._records.finish_dataset(*held, report.model_dump(mode="json"))
        return self._records.release_dataset(*held)


def _report_of(folder: UploadFolder, dataset: Dataset) -> Report | None:
    report = folder.report()
    return report if report is not None and report.options == Options.model_validate(dataset.options) else None


def _death(code: int | None, folder: UploadFolder) -> str | None:
    """Say how a child died; None for one that ended as it should."""
    if code in (ExitCode.COMPLETED, ExitCode.REFUSED, ExitCode.STOPPED):
        return None
    return describe_death("the preparation", code, folder.log)


def _discard(folder: UploadFolder) -> None:
    """Give back the room of a data set that cannot be prepared; its row says why."""
    with suppress(FileNotFoundError):
        folder.archive.unlink()
    shutil.rmtree(folder.work, ignore_errors=True)
