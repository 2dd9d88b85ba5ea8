"""Settings of workers, read from the environment here and nowhere else in the worker."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Annotated, Self

from pydantic import Field, model_validator

from models.settings import SharedSettings

CUDA_DRIVER = "libcuda.so.1"

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class WorkerSettings(SharedSettings):
    """Intervals and time limits of a worker, and limits of data sets."""

    # Between two searches for a claimable run without a message.
    look_seconds: Seconds = 5
    # Between two checks of a running run: its `wanted`, its events, its checkpoints.
    poll_seconds: Seconds = 1
    # Between two beats of a running run, and of the worker itself.
    beat_seconds: Seconds = 10
    # A run is taken from its worker when its beat has not moved for this long.
    lost_after_seconds: Seconds = 60
    # For a training to write its checkpoint after a request to stop; then it is killed.
    grace_seconds: Seconds = 45

    # A preparation of a data set that has read no file for so long is killed.
    prepare_stall_seconds: Seconds = 600
    # Of an image in an uploaded data set; larger ones are left out. The bound is Pillow's own.
    max_image_pixels: Annotated[int, Field(ge=1, le=89_478_485)] = 50_000_000

    # Whether the Inception weights of FID and KID are downloaded where they are missing and would be used.
    fetch_inception: bool = True

    @model_validator(mode="after")
    def _check_beats(self) -> Self:
        if self.lost_after_seconds < 3 * self.beat_seconds:
            raise ValueError(
                f"lost_after_seconds is {self.lost_after_seconds:g} and beat_seconds is {self.beat_seconds:g}: "
                "a run would be taken from a healthy worker; allow at least three beats"
            )
        return self


@cache
def settings() -> WorkerSettings:
    return WorkerSettings()


def device_count(device: str) -> int:
    """Count the devices that an `ATELIER_DEVICE` value names.

    Args:
        device: `auto`, `cpu`, `cuda`, or a list such as `cuda:0,cuda:1` or `cpu,cpu`, in which each entry counts.
    """
    if device in ("auto", "cuda"):
        return max(1, _cuda_devices())
    return len([name for name in device.split(",") if name.strip()]) or 1


def _cuda_devices() -> int:
    # By the driver, without torch: it respects `CUDA_VISIBLE_DEVICES` and a container's devices.
    try:
        driver = ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
