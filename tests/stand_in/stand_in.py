"""A stand-in for the trainer, without torch: `stand_in.py MODE RUNS_DIR RUN TOKEN`; see `MODES`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from models import watchdog
from models.artifacts.attempts import Attempt, kimg_name, list_attempts
from models.artifacts.events import EventWriter
from worker.jobs.runs import newest_checkpoint

MODES = {
    "complete": "say so and end",
    "work": "write a checkpoint every 50 ms until asked to stop",
    "finish": "write a checkpoint every 20 ms, on from the newest there is, until 50 are done",
    "stubborn": "ignore the request to stop",
    "die": "print something and be killed",
    "progress-and-die": "write a checkpoint, then be killed",
    "refuse": "leave a reason and refuse",
    "lose": "say that the run belongs to another attempt",
    "offspring": "start a process of its own and end",
}


def main(mode: str, runs_dir: Path, run: str, token: int) -> int:
    watchdog.die_with_parent()
    watchdog.watch(sys.stdin.buffer)
    attempt = Attempt(runs_dir / run, token)
    attempt.create()
    match mode:
        case "complete":
            EventWriter(attempt).append("log", {"message": "done"})
            return 0
        case "finish":
            return finish(attempt)
        case "work" | "stubborn":
            return work(attempt, heeds=mode == "work")
        case "die":
            print("about to die", flush=True)  # noqa: T201  # into the log
            os.kill(os.getpid(), signal.SIGKILL)
        case "progress-and-die":
            (attempt.checkpoints / kimg_name(token * 1000)).mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
        case "refuse":
            (attempt.dir / "failure.json").write_text(json.dumps({"reason": "the folder holds no image"}))
            return 65
        case "lose":
            return 76
        case "offspring":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (attempt.dir / "offspring").write_text(str(child.pid))
            return 0
    raise AssertionError(f"unknown mode {mode}")


def work(attempt: Attempt, heeds: bool) -> int:
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, ask)
    (attempt.dir / "pid").write_text(str(os.getpid()))
    images = 0
    while not (asked and heeds):
        time.sleep(0.05)
        images += 1000
        (attempt.checkpoints / kimg_name(images)).mkdir()
    return 75


def finish(attempt: Attempt) -> int:
    (attempt.dir / "pid").write_text(str(os.getpid()))
    done = [newest_checkpoint(earlier) for earlier in list_attempts(attempt.dir.parent)]
    for images in range(max(done).images + 1000, 51_000, 1000):
        time.sleep(0.02)
        (attempt.checkpoints / kimg_name(images)).mkdir()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
