"""Devices that generate images, and the worker threads that run passes on them."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class WorkerThread:
    """Runs one pass at a time: on a thread's worth of the CPU, or on a GPU's stream."""

    name: str
    device: torch.device

    def enter(self) -> None:
        # One thread per pass: an image's bytes then do not depend on the number of threads, and passes do not wait for
        # each other, as they do when all of them share all cores.
        torch.set_num_threads(1)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)


def choose_devices(name: str) -> list[torch.device]:
    """Resolve a device setting.

    `auto` is every GPU of the first one's model, else the CPU; `cuda` requires a GPU; otherwise `cpu` or a list.

    Raises:
        ValueError: a device does not exist here, or the listed ones are of different kinds.
    """
    if name in ("auto", "cuda"):
        if torch.cuda.is_available():
            devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
            return [device for device in devices if describe_device(device) == describe_device(devices[0])]
        if name == "auto":
            return [torch.device("cpu")]
    devices = [_device(part.strip()) for part in name.split(",")]
    # Different models choose different kernels, and so other bytes for the same image.
    if len(kinds := {describe_device(device) for device in devices}) > 1:
        raise ValueError(
            f'ATELIER_DEVICE is "{name}", which are different devices ({", ".join(sorted(kinds))}): they would '
            "generate the same image with different bytes; name devices of one kind"
        )
    return list(dict.fromkeys(devices))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f'ATELIER_DEVICE is "{name}", which cannot be used here ({reason}); set auto or cpu'
        ) from error
    return device


def worker_threads(devices: Sequence[torch.device], threads: int) -> list[WorkerThread]:
    """Return one worker for each GPU, or `threads` for the CPU."""
    if devices[0].type == "cpu":
        return [WorkerThread(f"cpu thread {index}", devices[0]) for index in range(threads)]
    return [WorkerThread(str(device), device) for device in devices]


def use_deterministic_kernels() -> None:
    # For the whole process: some kernels sum in no fixed order, and the benchmark mode chooses kernels by their speed
    # at that moment.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def describe_device(device: torch.device) -> str:
    """Return the device's model: two devices with the same description choose the same kernels."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}"


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def software() -> dict[str, str]:
    """Return the versions of software on which rounding depends."""
    return {"torch": torch.__version__, "numpy": np.__version__}
