from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest
import torch

from worker.training.devices import allocator
from worker.training.devices.allocator import available_memory, within

COUNT = """
import ctypes
from resource import RUSAGE_SELF, getrusage
from worker.training.devices.allocator import keep_memory

PR_SET_THP_DISABLE = 41
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)  # one huge page would stand for hundreds

def faults(rounds):
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        block = bytearray(40 << 20)
        block[::4096] = bytes(10240)
        del block
    return getrusage(RUSAGE_SELF).ru_minflt - before

if KEEP:
    keep_memory()
    faults(1)
print(faults(5))
"""
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
LIMITS = resource.getrlimit(resource.RLIMIT_DATA)


def faults(*, keep: bool) -> int:
    """Count the pages that a fresh process gets from the system for five blocks of 40 MiB, one after the other."""
    script = COUNT.replace("KEEP", str(keep))
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs GNU's C library")
def test_memory_that_was_freed_is_used_again_without_asking_the_system() -> None:
    assert faults(keep=True) < faults(keep=False) / 10


@needs_linux
def test_there_is_less_memory_available_than_the_machine_has() -> None:
    available = available_memory()
    assert available is not None
    assert 0 < available < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@needs_linux
def test_what_goes_beyond_the_memory_that_is_there_fails_without_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine grants it, and kills the process once it is touched."""
    monkeypatch.setattr(allocator, "available_memory", lambda: 1 << 30)
    with within(0.5):
        kept = torch.empty(1 << 28, dtype=torch.uint8)
        with pytest.raises(RuntimeError, match="allocate memory"):
            torch.empty(1 << 30, dtype=torch.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == LIMITS
    assert len(torch.empty(1 << 30, dtype=torch.uint8)) > len(kept)


def test_nothing_is_bounded_where_nobody_knows_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "available_memory", lambda: None)
    with within(0.5):
        assert resource.getrlimit(resource.RLIMIT_DATA) == LIMITS
