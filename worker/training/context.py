"""The context of one attempt at a run: its row, folder and settings, and what it writes down about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from models.artifacts.attempts import Attempt
from models.config.resolved import Resolved
from models.config.training import TrainingConfig
from models.files import replace_file
from models.records import Records, Run
from models.store.local import LocalStore
from worker.data.prepared import Prepared
from worker.settings import WorkerSettings
from worker.training.reporting.reporter import Reporter
from worker.training.state.checkpoints import Checkpoint


class StopRequested(Exception):
    """A stop was requested before there was anything to save."""


@dataclass(frozen=True)
class Context:
    run: Run
    attempt: Attempt
    records: Records
    settings: WorkerSettings
    reporter: Reporter
    stop_requested: Callable[[], bool]

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.settings.model_dir)

    def with_run(self, run: Run) -> Context:
        return replace(self, run=run)

    def check_stop(self, _done: int = 0, _total: int = 0) -> None:
        if self.stop_requested():
            raise StopRequested

    def write_resolved(self, resolved: Resolved) -> None:
        """Write decisions into the run's row.

        Raises:
            ClaimLost: another attempt owns the run.
        """
        self.records.set_resolved(self.run.claim, resolved.row())

    def write_start(self, config: TrainingConfig, resolved: Resolved, checkpoint: Checkpoint | None) -> None:
        """Write the configuration, the decisions and the position from which this attempt starts."""
        value = {
            "config": config.model_dump(mode="json"),
            "resolved": resolved.model_dump(),
            "start_images": 0 if checkpoint is None else checkpoint.position.images,
            "start_rollbacks": 0 if checkpoint is None else checkpoint.position.rollbacks,
            "resumed_from": None if checkpoint is None else checkpoint.name,
        }
        # Written before any report of the attempt: readers of reports need it, and other ranks wait for it.
        replace_file(self.attempt.config, json.dumps(value, indent=1).encode())


@dataclass(frozen=True)
class TrainingJob:
    """What an attempt trains, on which data, and from where: no checkpoint at the beginning of a run."""

    config: TrainingConfig
    prepared: Prepared
    resolved: Resolved
    checkpoint: Checkpoint | None
