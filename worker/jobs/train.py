"""The process of one run: `python -m worker.jobs.train RUN TOKEN`, started by `worker.jobs.supervisor`.

It ends with its supervisor and stops at SIGTERM; `worker.training.attempt` does the work. It reports its end by its
exit code (`worker.jobs.exit_codes`) and by `failure.json` in the attempt's folder. With several devices
`worker.jobs.torchrun` starts one such process for each, and reads rank 0's exit code from a file.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from models import watchdog
from models.priority import lower_priority


def main(arguments: list[str]) -> int:
    """Work on a run under a token, until its end or SIGTERM, and return the exit code."""
    watchdog.die_with_parent()
    watchdog.watch(sys.stdin.buffer)
    # A training takes every core, and a request takes one back for the milliseconds that it needs.
    lower_priority()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())

    # torch takes seconds to import, in which a supervisor may die or request a stop.
    from worker.jobs.exit_codes import ExitStatusFile
    from worker.settings import settings
    from worker.training.attempt import attempt_run
    from worker.training.devices.follower import follow
    from worker.training.devices.ranks import launch_info

    run_id, token, *ending = arguments
    if launch_info().rank > 0:
        return follow(run_id, int(token), settings(), stop.is_set)
    code = attempt_run(run_id, int(token), settings(), stop.is_set)
    if ending:
        ExitStatusFile(Path(ending[0])).write(code)
    return code


def leave(code: int) -> NoReturn:
    """Exit with `code` at once."""
    with suppress(OSError):
        sys.stdout.flush()
    # The interpreter's own end could change the code: it flushes a log whose disk may be full, and torch's threads may
    # be in the middle of a sum over ranks, or of a recording.
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
