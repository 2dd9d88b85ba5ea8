"""The Celery application: `celery -A worker.celery worker -P threads -c 1 -Q train` (or `-Q background`).

Messages only wake a worker up; `worker.service` does the work.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps
from celery.exceptions import ImproperlyConfigured
from celery.signals import worker_shutting_down

from models import broker as messages
from worker.service import worker_service
from worker.settings import settings

app = Celery("atelier", broker=messages.broker_url(settings().redis_url), include=["worker.tasks"])
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_create_missing_queues=False,
    task_queues={messages.TRAIN: {}, messages.BACKGROUND: {}},
    task_default_queue=messages.TRAIN,
    task_routes={
        messages.TRAIN_RUNS: {"queue": messages.TRAIN},
        messages.PREPARE_DATASET: {"queue": messages.BACKGROUND},
        messages.PREPARE_UPLOADS: {"queue": messages.BACKGROUND},
    },
    worker_prefetch_multiplier=1,
    # The worker starts without Redis and waits for it as long as it takes: it also polls for work without messages.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Tasks are acknowledged early, so there are none to cancel; the setting avoids a warning at each lost connection.
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_hijack_root_logger=True,
    worker_send_task_events=False,
)


class WorkerServiceStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Starts and stops the service with the worker, after the pool and before the broker is connected."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        if not settings().redis_url:
            raise ImproperlyConfigured(
                "ATELIER_REDIS_URL is empty: give the address of the Redis that the app uses, or start everything "
                "together with `atelier up`"
            )
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        queues = sorted(worker.app.amqp.queues.consume_from)
        worker_service().start(
            ",".join(queues), trains=messages.TRAIN in queues, prepares=messages.BACKGROUND in queues
        )

    def stop(self, worker: Any) -> None:  # noqa: ARG002  # Celery's signature
        worker_service().ask_to_stop()
        worker_service().wait_until_closed()

    terminate = stop


app.steps["worker"].add(WorkerServiceStep)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def hand_over(**_: Any) -> None:
    """Hand the run over at once."""
    # Celery itself only waits for the task that works on the run.
    worker_service().ask_to_stop()
