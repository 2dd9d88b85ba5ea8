"""Memory allocation: settings of the C library, available memory of the system, and out-of-memory errors."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from worker.training.failure import CannotContinue

# The names of mallopt(3), from malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4

_NEVER: Final = 2**31 - 1

_OOM_MESSAGES: Final = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")

_CGROUP: Final = Path("/sys/fs/cgroup")


class OutOfMemory(CannotContinue):
    """Memory ran out within a round, so that the state is in the middle of it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on a GPU or in the machine."""
    # On a CPU, and in some CUDA libraries, it is a plain RuntimeError that only its message identifies.
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _OOM_MESSAGES)


@contextmanager
def translate_oom() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(str(error).partition("\n")[0]) from error
        raise


def keep_memory() -> None:
    """Configure GNU's C library to keep freed memory for the next tensor of that size; do nothing with others."""
    # By default it returns large blocks to the system at once, and the pages of the next one are zeroed one by one as
    # they are touched: a sixth of the time of a small fully connected network's step.
    if mallopt := _of_c_library("mallopt"):
        # No blocks by mmap, and no trimming of the heap: freed blocks stay with the process.
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)


def give_memory_back() -> None:
    if trim := _of_c_library("malloc_trim"):
        trim(0)


@contextmanager
def within(share: float) -> Iterator[None]:
    """Make allocations fail beyond a share of the memory that is available now; Linux only."""
    # Linux grants more memory than there is, and kills a process that touches it. An error can be caught, SIGKILL not.
    available, used = available_memory(), _data_bytes()
    if available is None or used is None:
        yield
        return
    # Only the soft limit is lowered, so that it can be raised again.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [used + int(share * available), *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def available_memory() -> int | None:
    """Return the bytes that this process may still use, of this machine or its container; None if not on Linux.

    Caches of files count as available.
    """
    whole = _kilobytes(Path("/proc/meminfo"), "MemAvailable")
    if whole is None:
        return None
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # The container counts file caches as used, but drops inactive ones before it runs out.
        return max(0, min(whole, limit - used + int(statistics["inactive_file"])))
    except (OSError, ValueError, KeyError):  # no such file, or "max"
        return whole


def _data_bytes() -> int | None:
    # RLIMIT_DATA limits what the kernel reports as VmData.
    return _kilobytes(Path("/proc/self/status"), "VmData")


def _kilobytes(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


# A function of GNU's C library; None where the C library is another one.
def _of_c_library(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
