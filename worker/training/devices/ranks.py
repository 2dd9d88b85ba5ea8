"""Ranks: the processes that train one run together, one for each device (torch.distributed, Lightning Fabric).

Every rank holds the same modules, averages, optimizers and random states, to the bit: all draw the same order and
noise, each works on its own rows of a batch, and sums over ranks (gradients, batch statistics, losses) come out the
same in each. Only rank 0 decides, reports and writes; it sends the others a `Command` for each round, and its whole
state where that has changed otherwise than by a round.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.networks.rows import Rows

# For a rank to reach the next sum of a round.
_WORKING = timedelta(minutes=10)
# For rank 0 to send its next command: it may be evaluating, or writing to a slow disk.
_WAITING = timedelta(hours=12)
_BUCKET = 1 << 23  # values that are summed at once


class Command(IntEnum):
    """What rank 0 lets the others do."""

    END = 0
    ROUND = 1
    # One that logs the norms of gradients.
    LOGGED_ROUND = 2
    # Receive rank 0's state.
    SYNC_STATE = 3


class Ranks:
    """This process among the `count` that train a run; a single one communicates with nobody.

    Args:
        rank: from 0; rank 0 decides, reports and writes.
        count: of all ranks.
        control: a process group on the CPU, with long timeouts: for what is no part of a step.
    """

    def __init__(self, rank: int = 0, count: int = 1, control: torch.distributed.ProcessGroup | None = None) -> None:
        self.rank = rank
        self.count = count
        self._control = control
        self._is_local = False

    @property
    def is_main(self) -> bool:
        """Whether this rank decides, reports and writes."""
        return self.rank == 0

    @property
    def synchronising(self) -> bool:
        """Whether gradients and statistics of this rank are averaged with those of others."""
        return self.count > 1 and not self._is_local

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Compute without the other ranks: on this rank's rows only, and nothing to be kept."""
        self._is_local = True
        try:
            yield
        finally:
            self._is_local = False

    def rows(self, batch: int) -> Rows:
        """Return this rank's rows of a batch; each rank has equally many."""
        each = batch // self.count
        return Rows(self.rank * each, (self.rank + 1) * each, batch)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over the ranks; all call this, with the same shapes."""
        if not self.synchronising:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            torch.distributed.all_reduce(flat)
            flat.div_(self.count)
            means = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, mean in zip(bucket, means, strict=True):
                tensor.copy_(mean.view(tensor.shape))

    def command(self, command: Command = Command.END) -> Command:
        """Return rank 0's command, on every rank; what the others pass does not matter."""
        if self.count == 1:
            return command
        sent = torch.tensor(command, dtype=torch.int64)
        torch.distributed.broadcast(sent, 0, group=self._control)
        return Command(int(sent))

    def broadcast(self, value: Any = None) -> Any:
        """Return rank 0's value, any JSON, on every rank."""
        if self.count == 1:
            return value
        # Never torch's own broadcast of objects: it would unpickle what comes in over a socket.
        data = bytearray(json.dumps(value).encode()) if self.is_main else bytearray()
        length = torch.tensor(len(data))
        torch.distributed.broadcast(length, 0, group=self._control)
        message = (
            torch.frombuffer(data, dtype=torch.uint8) if self.is_main else torch.empty(int(length), dtype=torch.uint8)
        )
        torch.distributed.broadcast(message, 0, group=self._control)
        return json.loads(message.numpy().tobytes())

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, on the CPU, with those of rank 0, of the same shapes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0, group=self._control)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.count == 1:
            return flag
        votes = torch.tensor(flag, dtype=torch.int64)
        torch.distributed.all_reduce(votes, group=self._control)
        return bool(votes)

    def close(self) -> None:
        """Leave the process group, once all ranks have come so far; rank 0 ends the others."""
        if self.count > 1:
            if self.is_main:
                self.command(Command.END)
            # Without this, threads of torch end in an abort.
            torch.distributed.barrier(group=self._control)
            torch.distributed.destroy_process_group()


SINGLE = Ranks()


class LaunchInfo(NamedTuple):
    """This process among those that torchrun has started."""

    rank: int
    ranks: int


def launch_info() -> LaunchInfo:
    """Read this process's place from torchrun's environment variables; the first of one without them."""
    return LaunchInfo(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def join_ranks(devices: Sequence[torch.device]) -> Ranks:
    """Join the process group of the ranks that torchrun started, one for each of the `devices`.

    Raises:
        RuntimeError: they did not all come.
    """
    count = launch_info().ranks
    if count != len(devices):
        raise RuntimeError(f"{len(devices)} devices and {count} process(es): start the run with worker.jobs.torchrun")
    if count == 1:
        return SINGLE
    # Imported here: it imports torch's compiler, which takes seconds that a training on one device need not wait.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    on_gpu = devices[0].type == "cuda"
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=[device.index for device in devices] if on_gpu else len(devices),
        strategy=DDPStrategy(timeout=_WORKING),
    )
    fabric.launch()
    control = torch.distributed.new_group(backend="gloo", timeout=_WAITING)
    return Ranks(fabric.global_rank, fabric.world_size, control)


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Group tensors, so that there are few all-reduces and none needs much memory beside them."""
    buckets: list[list[Tensor]] = []
    size = _BUCKET
    for tensor in tensors:
        if size + tensor.numel() > _BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += tensor.numel()
    return buckets
