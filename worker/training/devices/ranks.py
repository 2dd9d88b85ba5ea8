"""The processes that train one run together, one for each device: torch.distributed, set up by Lightning Fabric.

Every rank holds both networks, the average, optimisers and random states, and all of them the same ones: they draw the
same order and noise, each works on its own rows of a batch, and what they add up (gradients, batch statistics, losses)
comes out the same, to the bit, in each. What has been reported and what the guard knows is rank 0's: it alone decides,
reports and writes; the others are told each round that it plays (`Order`), and get its whole state where that jumps.
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

_WORKING = timedelta(minutes=10)
"""For a rank to come to the next sum of a round."""
_WAITING = timedelta(hours=12)
"""For rank 0 to say what comes next: it may be evaluating, or writing to a slow disk."""
_BUCKET = 1 << 23  # values that are summed at once


class Order(IntEnum):
    """What rank 0 tells the others to do."""

    END = 0
    ROUND = 1
    WATCHED_ROUND = 2
    """One whose gradients' norms are noted."""
    SYNC_STATE = 3
    """Rank 0's state, which is another one than its last round made."""


class Ranks:
    """This process among the `count` that train a run; one alone waits for nobody and sends nothing.

    Args:
        rank: from 0; rank 0 decides, reports and writes.
        count: of them all.
        control: all of them, talking on the CPU: for what is no part of a step, and may take its time.
    """

    def __init__(self, rank: int = 0, count: int = 1, control: torch.distributed.ProcessGroup | None = None) -> None:
        self.rank = rank
        self.count = count
        self._control = control
        self._apart = False

    @property
    def leads(self) -> bool:
        """Whether this rank decides, reports and writes."""
        return self.rank == 0

    @property
    def together(self) -> bool:
        """Whether what one rank computes has to be added to what the others do."""
        return self.count > 1 and not self._apart

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Wait for nobody: what is computed meanwhile is of this rank's rows, and not to be kept."""
        self._apart = True
        try:
            yield
        finally:
            self._apart = False

    def rows(self, batch: int) -> Rows:
        """Give this rank's rows of a batch, of which there are as many for each rank."""
        each = batch // self.count
        return Rows(self.rank * each, (self.rank + 1) * each, batch)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over the ranks; all call this, with the same shapes."""
        if not self.together:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            torch.distributed.all_reduce(flat)
            flat.div_(self.count)
            means = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, mean in zip(bucket, means, strict=True):
                tensor.copy_(mean.view(tensor.shape))

    def order(self, order: Order = Order.END) -> Order:
        """Give rank 0's order, on every rank; what the others pass does not matter."""
        if self.count == 1:
            return order
        said = torch.tensor(order, dtype=torch.int64)
        torch.distributed.broadcast(said, 0, group=self._control)
        return Order(int(said))

    def tell(self, value: Any = None) -> Any:
        """Give what rank 0 passes, anything that JSON knows, on every rank."""
        if self.count == 1:
            return value
        # Never torch's own broadcast of objects: it would unpickle what comes in over a socket.
        data = bytearray(json.dumps(value).encode()) if self.leads else bytearray()
        length = torch.tensor(len(data))
        torch.distributed.broadcast(length, 0, group=self._control)
        message = (
            torch.frombuffer(data, dtype=torch.uint8) if self.leads else torch.empty(int(length), dtype=torch.uint8)
        )
        torch.distributed.broadcast(message, 0, group=self._control)
        return json.loads(message.numpy().tobytes())

    def hand_out(self, tensors: Iterable[Tensor]) -> None:
        """Fill tensors, on the CPU, with those of rank 0, of the same shapes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0, group=self._control)

    def any(self, said: bool) -> bool:
        """Tell whether any of the ranks said so."""
        if self.count == 1:
            return said
        votes = torch.tensor(said, dtype=torch.int64)
        torch.distributed.all_reduce(votes, group=self._control)
        return bool(votes)

    def close(self) -> None:
        """Leave the others, once they have all come so far; rank 0 tells them that this is the end.

        Without this, threads of torch end in an abort.
        """
        if self.count > 1:
            if self.leads:
                self.order(Order.END)
            torch.distributed.barrier(group=self._control)
            torch.distributed.destroy_process_group()


ALONE = Ranks()


class Launched(NamedTuple):
    """Which of how many processes this is."""

    rank: int
    ranks: int


def launched() -> Launched:
    """Give this process's place as torchrun wrote it down; the first of one without it."""
    return Launched(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def join(devices: Sequence[torch.device]) -> Ranks:
    """Meet the other ranks that torchrun started, one for each of the `devices`.

    Raises:
        RuntimeError: they did not all come.
    """
    count = launched().ranks
    if count != len(devices):
        raise RuntimeError(f"{len(devices)} devices and {count} process(es): start the run with worker.jobs.torchrun")
    if count == 1:
        return ALONE
    # Here, because it imports torch's compiler: seconds, which a training on one device need not wait.
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
    """Put small tensors together, so that few sums are waited for and none needs much memory beside them."""
    buckets: list[list[Tensor]] = []
    size = _BUCKET
    for tensor in tensors:
        if size + tensor.numel() > _BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += tensor.numel()
    return buckets
