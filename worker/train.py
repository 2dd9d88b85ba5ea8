"""One run, as a process: `python -m worker.train RUN TOKEN`, started by `worker.supervisor`.

It ties itself to its supervisor and listens for SIGTERM before anything else; the work is `worker.training.attempt`'s.
How it ends is told by `worker.exitcodes`; why, in words, by `failure.json` in the attempt's folder.
"""

from __future__ import annotations

import signal
import sys
import threading

from models import lifeline


def main(arguments: list[str]) -> int:
    """Work on a run under a token, until its end or SIGTERM, and give the exit code."""
    lifeline.die_with_parent()
    lifeline.watch(sys.stdin.buffer)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())

    # torch takes seconds to import, in which a supervisor may die or ask to stop.
    from worker.settings import settings
    from worker.training.attempt import attempt_run

    run_id, token = arguments
    return attempt_run(run_id, int(token), settings(), stop.is_set)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
