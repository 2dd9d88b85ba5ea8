"""The number of devices of this worker, counted without torch."""

from __future__ import annotations

import ctypes

DRIVER = "libcuda.so.1"


def device_count(device: str) -> int:
    """Count the devices that an `ATELIER_DEVICE` value names; a CPU counts as one, each time it is named.

    Args:
        device: `auto`, `cpu`, `cuda`, or a list such as `cuda:0,cuda:1` or `cpu,cpu`.
    """
    if device in ("auto", "cuda"):
        return max(1, _cuda_devices())
    return len([name for name in device.split(",") if name.strip()]) or 1


def _cuda_devices() -> int:
    """Count the devices that the driver shows: it respects `CUDA_VISIBLE_DEVICES` and a container's devices."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
