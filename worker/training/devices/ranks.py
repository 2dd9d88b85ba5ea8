"""Ranks: the processes that train one run together, one for each device (torch.distributed, Lightning Fabric).

Every rank holds the same modules, averages, optimizers and random states, bit by bit. Each works on its own rows of a
batch. Rank 0 decides, reports and writes; it sends the others a `Command` for each round.
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

# Timeout of a collective operation within a round.
_WORKING = timedelta(minutes=10)
# Timeout of rank 0's next command: it may be evaluating, or writing to a slow disk.
_WAITING = timedelta(hours=12)
_BUCKET = 1 << 23  # values in one all-reduce


class Command(IntEnum):
    END = 0
    ROUND = 1
    # A round that logs the norms of gradients.
    LOGGED_ROUND = 2
    # Receive rank 0's state.
    SYNC_STATE = 3


class Ranks:
    """This process among the `count` that train a run; a single one communicates with nobody.

    Args:
        control: a process group on the CPU with long timeouts, for everything outside of a step.
    """

    def __init__(self, rank: int = 0, count: int = 1, control: torch.distributed.ProcessGroup | None = None) -> None:
        self.rank = rank
        self.count = count
        self._control = control
        self._is_local = False

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def synchronising(self) -> bool:
        """Whether gradients and statistics are averaged over the ranks."""
        return self.count > 1 and not self._is_local

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Compute on this rank's rows only, without the other ranks; the results must be discarded."""
        self._is_local = True
        try:
            yield
        finally:
            self._is_local = False

    def rows(self, batch: int) -> Rows:
        """Return this rank's rows of a batch of `batch` rows."""
        each = batch // self.count
        return Rows(self.rank * each, (self.rank + 1) * each, batch)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over the ranks; all call this, with the same shapes."""
        if not self.synchronising:
            return
        for bucket in _buckets(tensors):
            # One flat tensor per bucket: few calls, and the same order of sums on every rank.
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            torch.distributed.all_reduce(flat)
            flat.div_(self.count)
            means = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, mean in zip(bucket, means, strict=True):
                tensor.copy_(mean.view(tensor.shape))

    def command(self, command: Command = Command.END) -> Command:
        """Return rank 0's command on every rank; the arguments of other ranks are ignored."""
        if self.count == 1:
            return command
        sent = torch.tensor(command, dtype=torch.int64)
        torch.distributed.broadcast(sent, 0, group=self._control)
        return Command(int(sent))

    def broadcast(self, value: Any = None) -> Any:
        """Return rank 0's value, which must be JSON, on every rank."""
        if self.count == 1:
            return value
        # Not torch's `broadcast_object_list`: it unpickles what arrives over a socket.
        data = bytearray(json.dumps(value).encode()) if self.is_main else bytearray()
        # The length first, so that the others can allocate the message.
        length = torch.tensor(len(data))
        torch.distributed.broadcast(length, 0, group=self._control)
        message = (
            torch.frombuffer(data, dtype=torch.uint8) if self.is_main else torch.empty(int(length), dtype=torch.uint8)
        )
        torch.distributed.broadcast(message, 0, group=self._control)
        return json.loads(message.numpy().tobytes())

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite CPU tensors with those of rank 0, which have the same shapes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0, group=self._control)

    def any(self, flag: bool) -> bool:
        if self.count == 1:
            return flag
        votes = torch.tensor(flag, dtype=torch.int64)
        torch.distributed.all_reduce(votes, group=self._control)
        return bool(votes)

    def close(self) -> None:
        """Wait for all ranks, then leave the process group; rank 0 ends the others."""
        if self.count > 1:
            if self.is_main:
                self.command(Command.END)
            # Without this, threads of torch end in an abort.
            torch.distributed.barrier(group=self._control)
            torch.distributed.destroy_process_group()


SINGLE = Ranks()


class LaunchInfo(NamedTuple):
    rank: int
    ranks: int


def launch_info() -> LaunchInfo:
    """Read this process's rank and their number from torchrun's environment variables; rank 0 of 1 without them."""
    return LaunchInfo(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def join_ranks(devices: Sequence[torch.device]) -> Ranks:
    """Join the process group of the ranks that torchrun started, one for each device.

    Raises:
        RuntimeError: their number differs from that of the devices.
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
    # A second group: commands may take hours, a sum within a round that takes minutes means a lost rank.
    control = torch.distributed.new_group(backend="gloo", timeout=_WAITING)
    return Ranks(fabric.global_rank, fabric.world_size, control)


# Groups of tensors: few all-reduces, and none needs much memory beside the tensors.
def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    size = _BUCKET
    for tensor in tensors:
        if size + tensor.numel() > _BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += tensor.numel()
    return buckets
