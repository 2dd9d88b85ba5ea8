"""Does things on several ranks, real gloo processes: `python -m tests.worker.training.ranked COUNT FOLDER DIGITS`.

Each rank leaves what came of each thing in FOLDER/NAME-RANK.pt. The program is imported once, then forks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.artifacts.attempts import Position
from models.config.training import TrainingConfig
from tests.worker.training.attempts import Attempts
from tests.worker.training.tiny import PROJECTED, tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared, read_prepared
from worker.training.devices.ranks import Command, Ranks, join_ranks
from worker.training.devices.sync_batch_norm import synchronise
from worker.training.rounds import run_commands, run_round
from worker.training.state.state import TrainingState, seeds
from worker.training.step_config import StepConfig

Result = dict[str, Any]
CPU = torch.device("cpu")


def normalised(ranks: Ranks) -> Result:
    """Normalise a batch, a slice on each rank, and take the gradients of some loss of it."""
    torch.manual_seed(0)
    whole, target = torch.randn(2, 12, 3, 4, 4) * 3 + 5
    network = nn.Sequential(nn.BatchNorm2d(3))
    with torch.no_grad():
        network.get_parameter("0.weight").uniform_(0.5, 2)
        network.get_parameter("0.bias").uniform_(-1, 1)
    synchronise(network, ranks)
    rows = ranks.rows(len(whole))
    mine = rows.of(whole).clone().requires_grad_()
    output = network(mine)
    (output * rows.of(target)).square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    ranks.average(gradients)
    assert mine.grad is not None
    return {"state": network.state_dict(), "rows": output.detach(), "by rows": mine.grad * rows.share, "by": gradients}


def messages(ranks: Ranks) -> Result:
    """Pass on what rank 0 says."""
    value = {"path": "a/ü", "n": [1, None]} if ranks.is_main else None
    means = [torch.full((3,), float(ranks.rank)), torch.full((2, 2), 3.0 * ranks.rank).t()]
    ranks.average(means)
    with ranks.no_sync():
        ranks.average([torch.zeros(ranks.rank)])
    handed = [torch.arange(5) * (1 - ranks.rank)]
    ranks.broadcast_tensors(handed)
    return {
        "handed": handed[0].tolist(),
        "value": ranks.broadcast(value),
        "orders": [
            int(ranks.command(command if ranks.is_main else Command.END))
            for command in (Command.ROUND, Command.SYNC_STATE)
        ],
        "any": [ranks.any(ranks.rank == 1), ranks.any(False)],
        "means": means,
    }


CHANGES = ["color", "translation", "cutout"]
ADAPTIVE: dict[str, Any] = {"augment__policy": CHANGES, "augment__p": 0.8, "augment__control": "adaptive"}
# Adam's first steps are as long for gradients that are only noise, which differ.
SLOW: dict[str, Any] = {"generator__lr": 1e-5, "discriminator__lr": 1e-5, "projected__lr": 1e-5}
TRAININGS: dict[str, TrainingConfig] = {
    "dropout": tiny("mlp-mnist", precision="fp32", **ADAPTIVE),
    "conditional": tiny("mlp-conditional", precision="fp32"),
    "batch norm": tiny("quick-28", precision="fp32", loss="non_saturating", penalty__every=2),
    "batch norm in both": tiny("dcgan-28", precision="fp32", generator__steps=2),
    "pairs and r1_r2": tiny("r3gan-28", precision="fp32", penalty__every=2, augment__policy=CHANGES),
    "projected": tiny("quick-28", precision="fp32", augment__policy=CHANGES, **PROJECTED, **SLOW),
    "gradient penalty": tiny("wgan-gp", precision="fp32", discriminator__steps=2),
}


def played(config: TrainingConfig, digits: Prepared, ranks: Ranks, slices: int = 1, rounds: int = 6) -> Result:
    """Train for some rounds."""
    state = TrainingState(config, Loader(digits, config.batch_size, seeds(config.seed).data, CPU), CPU)
    for network in state.modules.values():
        synchronise(network, ranks)
    step_config = StepConfig.of(config, state, "fp32", config.total_images(digits.count), ranks, slices)
    for _ in range(rounds):
        run_round(state, step_config, log_gradients=True)
    return {"tensors": state.copy().tensors, "position": state.batches.position}


def after_rollback(ranks: Ranks, folder: Path, digits: Prepared) -> Result:
    """Train with rank 0's loop, which loses its weights on the way and goes back."""
    config = tiny("mlp-mnist", precision="fp32", kimg=1.28, snapshots=10, tick_kimg=0.128)
    if not ranks.is_main:
        state = TrainingState(config, Loader(digits, config.batch_size, seeds(config.seed).data, CPU), CPU)
        run_commands(state, StepConfig.of(config, state, "fp32", config.total_images(digits.count), ranks))
        return {"tensors": state.copy().tensors, "position": tuple(state.position), "lr": state.guard.lr_factor}
    run = Attempts(folder / "run", digits)
    loop = run.start(config, young=64)
    state = loop.state

    def lose_weights_once() -> bool:
        if state.position == Position(0, 640):
            with torch.no_grad():
                next(state.modules["generator"].parameters()).fill_(torch.nan)
        return False

    step_config = StepConfig.of(config, state, "fp32", config.total_images(digits.count), ranks)
    assert replace(loop, step_config=step_config, stop_requested=lose_weights_once).run()
    ranks.command(Command.END)
    return {"tensors": state.copy().tensors, "position": tuple(state.position), "lr": state.guard.lr_factor}


PARTS: dict[str, Callable[[Ranks], Result]] = {"normalised": normalised, "messages": messages}


def work(ranks: Ranks, folder: Path, digits: Prepared) -> None:
    for name, part in PARTS.items():
        torch.save(part(ranks), folder / f"{name}-{ranks.rank}.pt")
    for name, config in TRAININGS.items():
        torch.save(played(config, digits, ranks), folder / f"{name}-{ranks.rank}.pt")
    torch.save(after_rollback(ranks, folder, digits), folder / f"rolled back-{ranks.rank}.pt")


def main(count: int, folder: Path, digits: Prepared) -> int:
    import lightning_fabric  # noqa: F401  # once, not in each rank

    # What torchrun does: a store in the parent, found by the ranks through their environment.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    os.environ.update(
        WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(store.port), GLOO_SOCKET_IFNAME="lo",
        TORCHELASTIC_RUN_ID="test", TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="0",
    )  # fmt: skip
    for rank in range(count):
        if os.fork() == 0:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
            torch.set_num_threads(1)
            ranks = join_ranks([torch.device("cpu")] * count)
            torch.set_flush_denormal(True)
            work(ranks, folder, digits)
            assert ranks.is_main or ranks.command() is Command.END
            ranks.close()
            os._exit(0)
    codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(count)]
    return max(abs(code) for code in codes)


if __name__ == "__main__":
    prepared = read_prepared(Path(sys.argv[3]))
    assert prepared is not None
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), prepared))
