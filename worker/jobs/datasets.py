"""Supervised preparation of uploaded data sets; `worker.jobs.prepare` is the process."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from models.datasets.uploads import Options, UploadFolder, ValidationReport, sweep
from models.records import Dataset, Records
from worker.jobs.exit_codes import ExitCode
from worker.jobs.notifier import Notifier
from worker.jobs.prepare import PrepareArguments
from worker.jobs.supervisor import Job, JobResult, Supervisor, describe_death
from worker.settings import WorkerSettings

PREPARER = (sys.executable, "-m", "worker.jobs.prepare")


class DatasetJob(Job):
    """One attempt to prepare a data set."""

    process_name = "the preparation"

    def __init__(
        self, dataset: Dataset, records: Records, settings: WorkerSettings, notifier: Notifier, command: Sequence[str]
    ) -> None:
        """Describe the attempt of a claim; its arguments, as JSON, are appended to `command`."""
        self._folder = UploadFolder(settings.uploads_dir / dataset.id)
        self._options = Options.model_validate(dataset.options)
        arguments = PrepareArguments(id=dataset.id, name=dataset.name, options=self._options)
        super().__init__(
            f"data set {dataset.name}, token {dataset.token}",
            [*command, arguments.model_dump_json()],
            self._folder.log,
        )
        self._dataset = dataset
        self._records = records
        self._notifier = notifier
        self._stall_seconds = settings.prepare_stall_seconds
        self._progress = (0, 0)
        self._moved_at = time.monotonic()

    def prepare(self) -> None:
        # Otherwise an earlier attempt's reason would be read as this one's.
        self._folder.clear_failure()

    def not_started(self, error: OSError) -> JobResult:
        # Unlike a training, which needs its folder, another worker may be able to start it.
        return JobResult("queued", f"the worker could not start the preparation: {error}", died=True)

    def beat(self) -> bool:
        self._records.beat_dataset(self._dataset.claim, *self._folder.progress())
        self._notifier.dataset_changed(self._dataset.name)
        return False  # only deleting the row stops a preparation, and that ends the claim

    def poll(self) -> str | None:
        # A decoder can hang for ever in a damaged image; a slow one still moves from file to file.
        now = time.monotonic()
        if (progress := self._folder.progress()) != self._progress:
            self._progress, self._moved_at = progress, now
        if now - self._moved_at > self._stall_seconds:
            done, total = self._progress
            return f"it read no file for {self._stall_seconds:g} s, after {done:,} of {total:,}"
        return None

    def result(self, code: int | None, stopped: bool) -> JobResult | None:
        # A handover is no fault of the images, even where the process was too slow to stop.
        killed_late = stopped and code in (-signal.SIGKILL, -signal.SIGTERM)
        if code not in (ExitCode.COMPLETED, ExitCode.REFUSED, ExitCode.STOPPED) and not killed_late:
            return JobResult("queued", describe_death(self.process_name, code, self.log), died=True)
        if (reason := self._folder.failure()) is not None:
            return JobResult("failed", reason)
        return JobResult("queued" if self._report() is None else "succeeded")

    def release(self, result: JobResult) -> str:
        claim = self._dataset.claim
        # Progress counts before the death does: coming as far once more is no progress of the next attempt's.
        self._records.beat_dataset(claim, *self._folder.progress())
        report = self._report() if result.outcome == "succeeded" else None
        if result.outcome == "failed":
            released = self._records.fail_dataset(claim, str(result.error))
        elif report is not None:
            released = self._records.finish_dataset(claim, report.model_dump(mode="json"))
        else:
            released = self._records.release_dataset(claim, death=result.error if result.died else None)
        self._notifier.dataset_changed(released.name)
        return released.state

    def _report(self) -> ValidationReport | None:
        """Read the report, if the prepared set has the requested options."""
        report = self._folder.report()
        return report if report is not None and report.options == self._options else None


class DatasetJobs:
    """Claims uploaded data sets and prepares them, one after the other."""

    def __init__(
        self,
        records: Records,
        settings: WorkerSettings,
        notifier: Notifier,
        stopping: threading.Event,
        command: Sequence[str] = PREPARER,
    ) -> None:
        self._records = records
        self._settings = settings
        self._notifier = notifier
        self._stopping = stopping
        self._command = command
        self._supervisor = Supervisor(settings, stopping)

    def work(self, worker: str) -> None:
        """Claim and prepare data sets until none waits or this worker must stop; then free unused disk space.

        Raises:
            RecordsUnavailable: the database did not respond; the next call continues.
        """
        while not self._stopping.is_set() and (dataset := self._records.claim_dataset(worker)) is not None:
            job = DatasetJob(dataset, self._records, self._settings, self._notifier, self._command)
            self._supervisor.supervise(job)
        remove_unused(self._records, self._settings.uploads_dir)


def remove_unused(records: Records, uploads_dir: Path) -> None:
    """Remove the archives of data sets that cannot be prepared, and the folders that belong to no row."""
    for dataset in records.list_datasets():
        if dataset.state == "failed":
            folder = UploadFolder(uploads_dir / dataset.id)
            with suppress(FileNotFoundError):
                folder.archive.unlink()
            shutil.rmtree(folder.work, ignore_errors=True)
    sweep(uploads_dir, lambda: {dataset.id for dataset in records.list_datasets()})
