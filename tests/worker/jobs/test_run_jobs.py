from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.artifacts.attempts import Attempt, Position
from models.records import Records, Run
from tests.fixtures.versions import training_config
from worker.jobs.notifier import Notifier
from worker.jobs.runs import TRAINER, RunJob
from worker.settings import WorkerSettings

START = Position(1, 5000)


@pytest.fixture
def attempt(tmp_path: Path, run: Run) -> Attempt:
    """An attempt that began after a rollback."""
    made = Attempt(tmp_path / "runs" / run.id, 2)
    made.create()
    made.config.write_text(json.dumps({"start_images": START.images, "start_rollbacks": START.rollbacks}))
    return made


@pytest.fixture
def run(records: Records) -> Run:
    """A run that has died once."""
    records.create_run(training_config(), {})
    first = records.claim_run("tester", 1)
    assert first is not None
    records.release_run(first.claim, "queued", died=True)
    second = records.claim_run("tester", 1)
    assert second is not None
    assert second.failures == 1
    return second


@pytest.mark.parametrize(
    ("kept", "failures"), [(START, 1), (Position(1, 5032), 0), (Position(2, 2000), 0), (Position(0, 9000), 1)]
)
def test_deaths_are_forgotten_once_an_attempt_has_come_further_than_its_start(
    kept: Position, failures: int, records: Records, run: Run, attempt: Attempt, tmp_path: Path
) -> None:
    (attempt.checkpoints / kept.name).mkdir()
    settings = WorkerSettings(data_dir=tmp_path)
    notifier = Notifier("redis://127.0.0.1:1/0")
    RunJob(run, records, settings, notifier, TRAINER).report_checkpoint()
    found = records.get_run(run.id)
    assert found is not None
    assert found.failures == failures
