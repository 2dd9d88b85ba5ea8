"""Processes tied to their parent's life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from models.watchdog import EXIT_CODE

ROOT = Path(__file__).parents[2]
CHILD = "import sys, time; from models import watchdog; {mechanism}; print('up', flush=True); time.sleep(60)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_child_dies_when_its_parent_is_killed() -> None:
    code = PARENT.format(child=CHILD.format(mechanism="watchdog.die_with_parent()"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not _gone(child):
        assert time.monotonic() < deadline, f"process {child} outlived its parent"
        time.sleep(0.01)


def test_child_exits_when_the_pipe_it_watches_ends() -> None:
    code = CHILD.format(mechanism="watchdog.watch(sys.stdin.buffer)")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        child.stdin.close()
        assert child.wait(10) == EXIT_CODE


def test_child_of_an_already_dead_parent_exits() -> None:
    code = CHILD.format(mechanism="watchdog.die_with_parent(parent=1 << 22)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=10, check=False)
    assert done.returncode == EXIT_CODE
