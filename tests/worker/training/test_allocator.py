from __future__ import annotations

import subprocess
import sys

COUNT = """
from resource import RUSAGE_SELF, getrusage
from worker.training.allocator import keep_memory

def faults(rounds):
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        block = bytearray(40 << 20)
        block[::4096] = bytes(10240)
        del block
    return getrusage(RUSAGE_SELF).ru_minflt - before

if KEEP:
    assert keep_memory()
    faults(1)
print(faults(5))
"""


def faults(*, keep: bool) -> int:
    """Count the pages that a fresh process gets from the system for five blocks of 40 MiB, one after the other."""
    script = COUNT.replace("KEEP", str(keep))
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)


def test_memory_that_was_freed_is_used_again_without_asking_the_system() -> None:
    assert faults(keep=False) > 5 * 10_000
    assert faults(keep=True) < 100
