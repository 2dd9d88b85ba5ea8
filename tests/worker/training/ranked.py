"""Plays tiny trainings on several ranks, real gloo processes: `ranked.py COUNT FOLDER` with the digits in FOLDER.

Each rank leaves what came of each training in FOLDER/NAME-RANK.pt. The program is imported once, then forks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worker.training.ranks import Order, Ranks, join
from worker.training.synchrony import synchronise

Result = dict[str, Any]


def normalised(ranks: Ranks) -> Result:
    """Normalise a batch, a slice on each rank, and take the gradients of some loss of it."""
    torch.manual_seed(0)
    whole, target = torch.randn(2, 12, 3, 4, 4) * 3 + 5
    network = nn.Sequential(nn.BatchNorm2d(3))
    with torch.no_grad():
        network[0].weight.uniform_(0.5, 2)
        network[0].bias.uniform_(-1, 1)
    synchronise(network, ranks)
    rows = ranks.rows(len(whole))
    mine = rows.of(whole).clone().requires_grad_()
    output = network(mine)
    (output * rows.of(target)).square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    ranks.average(gradients)
    assert mine.grad is not None
    return {"state": network.state_dict(), "rows": output.detach(), "by rows": mine.grad * rows.share, "by": gradients}


def told(ranks: Ranks) -> Result:
    """Pass on what rank 0 says."""
    value = {"path": "a/ü", "n": [1, None]} if ranks.leads else None
    means = [torch.full((3,), float(ranks.rank)), torch.full((2, 2), 3.0 * ranks.rank).t()]
    ranks.average(means)
    with ranks.apart():
        ranks.average([torch.zeros(ranks.rank)])
    handed = [torch.arange(5) * (1 - ranks.rank)]
    ranks.hand_out(handed)
    return {
        "handed": handed[0].tolist(),
        "value": ranks.tell(value),
        "orders": [int(ranks.order(order if ranks.leads else Order.END)) for order in (Order.ROUND, Order.TAKE_OVER)],
        "any": [ranks.any(ranks.rank == 1), ranks.any(False)],
        "means": means,
    }


PARTS: dict[str, Callable[[Ranks], Result]] = {"normalised": normalised, "told": told}


def work(ranks: Ranks, folder: Path) -> None:
    for name, part in PARTS.items():
        torch.save(part(ranks), folder / f"{name}-{ranks.rank}.pt")


def main(count: int, folder: Path) -> int:
    import lightning_fabric  # noqa: F401  # once, not in each rank

    # What torchrun does: a store in the parent, found by the ranks through their environment.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    os.environ.update(
        WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(store.port), GLOO_SOCKET_IFNAME="lo",
        TORCHELASTIC_RUN_ID="test", TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="0",
    )  # fmt: skip
    for rank in range(count):
        if os.fork() == 0:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
            torch.set_num_threads(1)
            ranks = join([torch.device("cpu")] * count)
            work(ranks, folder)
            ranks.close()
            os._exit(0)
    codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(count)]
    return max(abs(code) for code in codes)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
