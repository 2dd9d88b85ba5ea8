"""The device that trainings run on, as far as choices depend on it; found out without torch."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.config.training import Frozen
from models.settings import SharedSettings, training_threads

DRIVER = "libcuda.so.1"
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


class Device(Frozen):
    """A CPU with some of its cores, or a GPU, and the memory that a training may use there."""

    kind: Literal["cpu", "cuda"]
    cores: Annotated[int, Field(ge=1)]
    memory_bytes: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        memory = f"{self.memory_bytes / 1e9:.0f} GB"
        cores = "one core" if self.cores == 1 else f"{self.cores} cores"
        return f"a GPU with {memory}" if self.kind == "cuda" else f"a CPU with {cores} and {memory}"


def local(settings: SharedSettings) -> Device:
    """Describe the first device that a worker on this machine would train on, under the same settings."""
    cores = settings.threads or training_threads()
    name, _, index = settings.device.partition(",")[0].strip().partition(":")
    if name != "cpu" and (memory := _cuda_memory(int(index) if index.isdecimal() else 0)) is not None:
        return Device(kind="cuda", cores=cores, memory_bytes=memory)
    return Device(kind="cpu", cores=cores, memory_bytes=main_memory())


def main_memory() -> int:
    """Count the bytes of this machine's memory, or of this container's share."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_CGROUP_MEMORY.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return whole


def _cuda_memory(index: int) -> int | None:
    """Ask the driver for a GPU's memory; None where it is not there."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    device, size = ctypes.c_int(0), ctypes.c_size_t(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        return None
    return size.value if driver.cuDeviceTotalMem_v2(ctypes.byref(size), device) == 0 else None
