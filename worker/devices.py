"""How many devices this worker owns, found out without torch."""

from __future__ import annotations

import ctypes

DRIVER = "libcuda.so.1"


def device_count(device: str) -> int:
    """Count the devices that an `ATELIER_DEVICE` value names; a CPU is one, or as many as it is named.

    Args:
        device: `auto`, `cpu`, `cuda`, or a list such as `cuda:0,cuda:1` or `cpu,cpu`.
    """
    if device in ("auto", "cuda"):
        return max(1, _cuda_devices())
    return len([name for name in device.split(",") if name.strip()]) or 1


def _cuda_devices() -> int:
    """Ask the driver, which honours `CUDA_VISIBLE_DEVICES` and what a container was given."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
