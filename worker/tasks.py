"""The tasks: thin, for a message only says "look"."""

from __future__ import annotations

import logging

from models import broker
from models.records import RecordsUnavailable
from worker.celery import app
from worker.service import floor
from worker.settings import settings

logger = logging.getLogger(__name__)


@app.task(name=broker.LOOK)  # type: ignore[untyped-decorator]
def look() -> None:
    """Claim runs and see them through until none is left."""
    try:
        floor().work()
    except RecordsUnavailable as error:
        logger.warning("the look that a message asked for waits for the database: %s", error)


@app.task(name=broker.PREPARE)  # type: ignore[untyped-decorator]
def prepare(dataset: str, size: int, channels: int) -> None:
    """Prepare a data set while the run that needs it waits; the run itself reports what is wrong with it."""
    from worker import data

    here = settings()
    try:
        data.prepare(
            dataset,
            size,
            channels,
            datasets_dir=here.datasets_dir,
            images_dir=here.images_dir,
            prepared_dir=here.prepared_dir,
        )
    except data.DataProblem as problem:
        logger.warning("data set %s cannot be prepared: %s", dataset, problem)


@app.task(name=broker.PREPARE_UPLOADS)  # type: ignore[untyped-decorator]
def prepare_uploads() -> None:
    """Claim uploaded data sets and prepare them until none waits."""
    try:
        floor().run_background()
    except RecordsUnavailable as error:
        logger.warning("the look that a message asked for waits for the database: %s", error)
