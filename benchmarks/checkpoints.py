"""What checkpoints cost a training: the share of its time in which it stands still, and is slowed down by the writing.

    python -m benchmarks.checkpoints

Each preset's whole state is copied and written as the trainer does, between rounds of small batches (a state's size
does not depend on them). A checkpoint stops the loop while its copy is made; the rounds that pass while it is written,
hashed and synced are compared with as many without. Shares are of the interval between two checkpoints
(`checkpoint_minutes`); a refuge for rollbacks costs the same once a snapshot.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from models.artefacts import Attempt
from models.config import TrainingConfig
from models.presets import TrainRequest, resolve
from worker.data.loader import Batch
from worker.training.keeper import Keeper
from worker.training.recipe import Recipe
from worker.training.state import TrainingState
from worker.training.steps import play_round

CPU = torch.device("cpu")
PRESETS = {"mlp-mnist": 32, "dcgan-64": 4, "r3gan-32": 2}
"""With the batch of the rounds between checkpoints."""
BOUND = 0.02


class Noise:
    """Images of noise, as a training's batches."""

    def __init__(self, config: TrainingConfig) -> None:
        self.position = 0
        self.labels: Tensor | None = None
        shape = (config.batch_size, config.channels, config.size, config.size)
        self._images = torch.randint(256, shape, dtype=torch.uint8)

    def next(self) -> Batch:
        """Give the same images again."""
        return Batch(self._images, None)


class Cost(NamedTuple):
    """Medians over checkpoints: bytes on the disk, and seconds."""

    size: int
    stopped: float
    writing: float
    slowed: float

    def shares(self, interval: float) -> tuple[float, float]:
        """Give the shares of an interval in which the loop stands still, and in which it is held up altogether."""
        return self.stopped / interval, (self.stopped + max(0.0, self.slowed)) / interval


def measure(config: TrainingConfig, folder: Path, turns: int) -> Cost:
    """Take checkpoints between rounds."""
    state = TrainingState(config, Noise(config), CPU)
    recipe = Recipe.of(config, state, "fp32", config.total_images(60_000))
    attempt = Attempt(folder, 1)
    attempt.create()
    keeper = Keeper(attempt, {})
    for _ in range(3):
        play_round(state, recipe)
    costs = [_checkpoint(state, recipe, keeper) for _ in range(turns)]
    size = sum(path.stat().st_size for path in max(attempt.checkpoints.iterdir()).iterdir())
    return Cost(size, *(median(values) for values in zip(*costs, strict=True)))


def _checkpoint(state: TrainingState, recipe: Recipe, keeper: Keeper) -> tuple[float, float, float]:
    """Give the seconds of the copy, of the writing, and by which the rounds beside it were longer than others."""
    started = time.perf_counter()
    keeper.keep(state)
    stopped = time.perf_counter() - started
    rounds = 0
    while keeper.busy:
        play_round(state, recipe)
        rounds += 1
    writing = time.perf_counter() - started - stopped
    keeper.settle()
    quiet = time.perf_counter()
    for _ in range(rounds):
        play_round(state, recipe)
    return stopped, writing, writing - (time.perf_counter() - quiet)


def main() -> None:
    """Measure each preset, and print a table."""
    parser = argparse.ArgumentParser(description="What checkpoints cost a training.")
    parser.add_argument("--turns", type=int, default=7, help="checkpoints of each preset")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print("| preset | state | copy | share stopped | writing | share with what writing slows | within 2 % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for preset, batch in PRESETS.items():
        config = resolve(TrainRequest(preset=preset, dataset="mnist", overrides={"batch_size": batch}))
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(config, Path(folder), arguments.turns)
        stopped, held_up = cost.shares(60 * config.checkpoint_minutes)
        verdict = "yes" if held_up <= BOUND else "no"
        print(
            f"| {preset} | {cost.size / 1e6:.0f} MB | {cost.stopped * 1000:.0f} ms | {stopped:.2%} "
            f"| {cost.writing:.2f} s | {held_up:.2%} | {verdict} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
