"""Celery tasks. A message only wakes a worker up: the work itself is in the database."""

from __future__ import annotations

import logging

from models import broker
from models.datasets.catalogue import DatasetProblem
from models.records import RecordsUnavailable
from worker.celery import app
from worker.service import worker_service
from worker.settings import settings

logger = logging.getLogger(__name__)


@app.task(name=broker.TRAIN_RUNS)  # type: ignore[untyped-decorator]
def train_runs() -> None:
    """Claim runs and train them until none is left."""
    try:
        worker_service().train_runs()
    except RecordsUnavailable as error:
        logger.warning("database unavailable; will check the queue again when it is back: %s", error)


@app.task(name=broker.PREPARE_DATASET)  # type: ignore[untyped-decorator]
def prepare(dataset: str, size: int, channels: int) -> None:
    """Prepare a data set before the run that needs it starts; the run itself reports its problems."""
    from worker.data import prepare as prepare_dataset

    here = settings()
    try:
        prepare_dataset(
            dataset,
            size,
            channels,
            datasets_dir=here.datasets_dir,
            images_dir=here.images_dir,
            prepared_dir=here.prepared_dir,
        )
    except DatasetProblem as problem:
        logger.warning("data set %s cannot be prepared: %s", dataset, problem)


@app.task(name=broker.PREPARE_UPLOADS)  # type: ignore[untyped-decorator]
def prepare_uploads() -> None:
    """Claim uploaded data sets and prepare them until none waits."""
    try:
        worker_service().prepare_datasets()
    except RecordsUnavailable as error:
        logger.warning("database unavailable; will check the queue again when it is back: %s", error)
