"""The worker's settings, devices and Celery application, as far as they need no process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from worker.settings import WorkerSettings, device_count

ROOT = Path(__file__).parents[2]


def test_time_limit_that_would_take_runs_from_healthy_workers_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least three beats"):
        WorkerSettings(beat_seconds=30, lost_after_seconds=60)


def test_more_pixels_than_pillow_decodes_cannot_be_set() -> None:
    most = Image.MAX_IMAGE_PIXELS
    assert most is not None
    assert WorkerSettings(max_image_pixels=most).max_image_pixels == most
    with pytest.raises(ValidationError, match="max_image_pixels"):
        WorkerSettings(max_image_pixels=most + 1)


@pytest.mark.parametrize(("device", "count"), [("cpu", 1), ("cpu,cpu", 2), ("cuda:0", 1), ("cuda:0,cuda:1", 2)])
def test_named_devices_are_counted(device: str, count: int) -> None:
    assert device_count(device) == count


def test_machine_without_a_gpu_has_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.settings.CUDA_DRIVER", "libnowhere.so.1")
    assert device_count("auto") == 1


def test_celery_application_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, worker.celery, worker.tasks; sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={"ATELIER_REDIS_URL": "redis://nowhere"})
