"""Launcher of a run's ranks: `python -m worker.jobs.torchrun COUNT RUN TOKEN`.

torch's own torchrun, which ends with its supervisor and exits with the code of rank 0 (`worker.jobs.exit_codes`).
"""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models import watchdog
from models.artifacts.attempts import Attempt
from worker.jobs.exit_codes import ExitCode, ExitStatusFile
from worker.jobs.train import leave

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_DELIBERATE: Final = (ExitCode.STOPPED, ExitCode.REFUSED, ExitCode.FENCED)


def main(arguments: list[str]) -> int:
    """Start the ranks, forward SIGTERM to them, wait for their end, and return rank 0's exit code."""
    watchdog.die_with_parent()
    watchdog.watch(sys.stdin.buffer)
    _stay_on_this_host()
    from worker.settings import settings

    count, run, token = arguments
    attempt = Attempt(settings().runs_dir / run, int(token))
    with tempfile.TemporaryDirectory(prefix=".ranks-", dir=attempt.dir) as folder:
        ending = Path(folder) / "ending"
        status = ExitStatusFile(ending)
        status.reserve()
        # Ranks inherit the standard input, so that each of them notices the end of the supervisor.
        failures = _run(
            [*options(folder, count, run, settings().grace_seconds), "worker.jobs.train", run, token, str(ending)]
        )
        code = status.read()
    return ended(failures) if code is None else code


def options(folder: str, count: str, run: str, grace_seconds: float) -> list[str]:
    """Return torchrun's options for a run of `count` ranks with its rendezvous in `folder`."""
    return [
        "--nnodes=1",
        f"--nproc-per-node={count}",
        f"--rdzv-id={run}",
        # Rendezvous by a file: torchrun's default is a port, open to the network, whose messages it unpickles.
        "--rdzv-backend=c10d",
        "--rdzv-conf=store_type=file",
        f"--rdzv-endpoint={folder}/rendezvous",
        "--local-addr=127.0.0.1",
        "--max-restarts=0",
        f"--log-dir={folder}/logs",
        f"--shutdown-timeout={math.ceil(grace_seconds)}",
        "--module",
    ]


def _stay_on_this_host() -> None:
    """Restrict communication between ranks to the loopback interface, unless the environment overrides it."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    # Each rank sets its number of threads itself; without this torchrun warns that it chose one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _run(arguments: list[str]) -> Mapping[int, ProcessFailure]:
    """Run torchrun to its end; return the failed ranks, none after a requested stop."""
    # Imported here: the import takes seconds, in which the supervisor may die or request a stop.
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(arguments))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        failures: Mapping[int, ProcessFailure] = error.failures
        return failures
    except SignalException:
        pass
    return {}


def ended(failures: Mapping[int, ProcessFailure]) -> int:
    """Exit like the rank that failed first, by the same signal if it was killed by one."""
    if not failures:
        # No rank failed and none wrote a code: a stop was requested before they could.
        code = -signal.SIGTERM
    else:
        # Timestamps are whole seconds: within one, a rank that was killed came first, then one that exited on purpose.
        rank, first = min(failures.items(), key=lambda item: (item[1].timestamp, _blame(item[1].exitcode)))
        code = first.exitcode
        if code not in _DELIBERATE:
            with suppress(OSError):  # the log may lie on a disk that is full
                print(f"rank {rank} of the training died first", flush=True)  # noqa: T201  # standard output is the log
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _blame(code: int) -> int:
    return 0 if code == -signal.SIGKILL else 1 if code in _DELIBERATE else 2


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
