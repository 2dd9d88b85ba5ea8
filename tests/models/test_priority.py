"""The priority of processes in the background, in a process of its own: it cannot be raised again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
from models.priority import lower_priority
lower_priority()
lower_priority()
print(os.nice(0))
print(open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "none")
"""


def test_process_and_its_session_give_way_once() -> None:
    output = subprocess.run(  # a session of its own has an autogroup of its own
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, start_new_session=True
    ).stdout.split("\n")
    assert output[0] == "10" or int(output[0]) > 10  # started at a lower priority already
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel has no autogroups")
    assert output[1].endswith("nice 10")
