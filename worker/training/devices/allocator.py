"""How this process gets its memory from the system, and how much there is to get."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# The names of mallopt(3), from malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4

_NEVER: Final = 2**31 - 1

_CGROUP: Final = Path("/sys/fs/cgroup")


def keep_memory() -> None:
    """Have the C library keep what is freed, for the next tensor of that size, where it is GNU's.

    By default it hands large blocks back to the system at once, and the pages of the next one are zeroed one by one as
    they are touched: of a small fully connected network's step that took a sixth.
    """
    if mallopt := _of_c_library("mallopt"):
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)


def give_memory_back() -> None:
    """Hand what is kept and not in use back to the system."""
    if trim := _of_c_library("malloc_trim"):
        trim(0)


@contextmanager
def within(share: float) -> Iterator[None]:
    """Have allocations fail that go beyond a share of the memory that is available now.

    Linux grants more than there is, and kills whoever touches it: an error can be caught, SIGKILL cannot. Elsewhere
    than on Linux nothing is bounded.
    """
    available, used = available_memory(), _data_bytes()
    if available is None or used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [used + int(share * available), *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def available_memory() -> int | None:
    """Count the bytes that this process may still touch, in this machine or this container's share of it.

    What is read again from a file where it is dropped counts as available. None elsewhere than on Linux.
    """
    whole = _kilobytes(Path("/proc/meminfo"), "MemAvailable")
    if whole is None:
        return None
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return max(0, min(whole, limit - used + int(statistics["inactive_file"])))
    except (OSError, ValueError, KeyError):  # no such file, or "max"
        return whole


def _data_bytes() -> int | None:
    """Count what RLIMIT_DATA bounds, as this process has it."""
    return _kilobytes(Path("/proc/self/status"), "VmData")


def _kilobytes(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _of_c_library(name: str) -> Callable[..., int] | None:
    """Find a function of GNU's C library; None where that is another one."""
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
