"""Runs the real Celery application with a stand-in for the trainer: `celery_with_stand_in.py MODE ARGUMENTS…`."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from worker import service as module
from worker.settings import settings

STAND_IN = str(Path(__file__).parent / "stand_in.py")


@cache
def harness() -> module.WorkerService:
    return module.WorkerService(settings(), (sys.executable, STAND_IN, sys.argv[1], str(settings().runs_dir)))


module.worker_service = harness

if __name__ == "__main__":
    from worker.celery import app

    app.worker_main(sys.argv[2:])
