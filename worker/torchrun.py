"""The ranks of one run, as a process: `python -m worker.torchrun COUNT RUN TOKEN`, started by `worker.supervisor`.

It is torch's own torchrun, tied to its supervisor, and ends as rank 0 ended: exit codes mean what `worker.exitcodes`
says. It passes its standard input on, so that each rank sees its supervisor's end for itself.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from models import lifeline
from models.artefacts import Attempt

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def main(arguments: list[str]) -> int:
    """Start the ranks, hand SIGTERM on to them, wait for their end, and give rank 0's exit code."""
    lifeline.die_with_parent()
    lifeline.watch(sys.stdin.buffer)
    _stay_on_this_host()
    from worker.settings import settings

    count, run, token = arguments
    attempt = Attempt(settings().runs_dir / run, int(token))
    with tempfile.TemporaryDirectory(prefix=".ranks-", dir=attempt.dir) as folder:
        ending = Path(folder) / "ending"
        # Found by a file: torchrun's own way is a port, open to the network, whose messages it unpickles.
        options = (
            f"--nnodes=1 --nproc-per-node={count} --rdzv-id={run} --rdzv-backend=c10d --rdzv-conf=store_type=file "
            f"--rdzv-endpoint={folder}/rendezvous --local-addr=127.0.0.1 --max-restarts=0 "
            f"--log-dir={folder}/logs --shutdown-timeout={math.ceil(settings().grace_seconds)} --module"
        )
        failures = _run([*options.split(), "worker.train", run, token, str(ending)])
        if ending.exists():
            return int(ending.read_text())
    return _died(failures)


def _stay_on_this_host() -> None:
    """Let ranks talk over the loopback interface only; an environment that says otherwise is left as it is."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    # Each rank sets its threads itself; without this torchrun warns that it chose for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _run(arguments: list[str]) -> Mapping[int, ProcessFailure]:
    """Run torchrun to its end; give the ranks that failed, none where it was asked to stop."""
    # Seconds to import, in which the supervisor may die or ask to stop.
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


def _died(failures: Mapping[int, ProcessFailure]) -> int:
    """End as the rank did that died first, by the same signal if it was one; where none did, as one killed late."""
    if not failures:
        code = -signal.SIGTERM
    else:
        # Whole seconds: of two in the same one, the rank that was killed is why the other failed.
        rank, first = min(failures.items(), key=lambda item: (item[1].timestamp, item[1].exitcode != -signal.SIGKILL))
        code = first.exitcode
        print(f"rank {rank} of the training died first", flush=True)  # noqa: T201  # standard output is the run's log
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
