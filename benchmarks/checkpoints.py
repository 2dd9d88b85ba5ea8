"""Cost of checkpoints: the share of a training's time in which it is stopped, or slowed down by the writing.

    python -m benchmarks.checkpoints

The whole state of each preset is copied and written as the trainer does, between rounds of small batches (its size does
not depend on them). A checkpoint stops the loop while the state is copied; the rounds that run while it is written,
hashed and synced are compared with as many others. Both shares are of the interval between two checkpoints
(`checkpoint_minutes`). A rollback checkpoint is saved while the disk is busy with a checkpoint; its share is of the
time between two snapshots at this speed, as if each were a new best. Larger batches take less time for each image.
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

from models.artifacts.attempts import Attempt
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from worker.data.loader import Batch
from worker.training.rounds import run_round
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
# With the batch size of the rounds between checkpoints.
PRESETS = {"mlp-mnist": 32, "dcgan-64": 4, "r3gan-32": 2}
BOUND = 0.02


class NoiseBatches:
    """The same batch of noise again and again, in place of a loader."""

    def __init__(self, config: TrainingConfig) -> None:
        self.position = 0
        self.labels: Tensor | None = None
        shape = (config.batch_size, config.shape.channels, config.shape.height, config.shape.width)
        self._images = torch.randint(256, shape, dtype=torch.uint8)

    def next(self) -> Batch:
        return Batch(self._images, None)


class Cost(NamedTuple):
    """Medians over checkpoints: bytes on the disk, and seconds.

    Attributes:
        size: bytes of a checkpoint.
        stopped: for which a checkpoint stops the loop.
        rollback: for which a rollback checkpoint stops it.
        writing: until a checkpoint is durable.
        slowed: by which rounds are slower meanwhile.
        image: per image of a round.
    """

    size: int
    stopped: float
    rollback: float
    writing: float
    slowed: float
    image: float

    def shares(self, interval: float, images: float) -> tuple[float, float, float]:
        """Compute shares of the time of a training.

        Args:
            interval: seconds between two checkpoints.
            images: between two rollback checkpoints.

        Returns:
            In which checkpoints stop the loop, in which they stop or slow it, in which rollback checkpoints stop it.
        """
        affected = self.stopped + max(0.0, self.slowed)
        return self.stopped / interval, affected / interval, self.rollback / (self.image * images)


def measure(config: TrainingConfig, folder: Path, repeats: int) -> Cost:
    """Save checkpoints between rounds."""
    state = TrainingState(config, NoiseBatches(config), CPU)
    step_config = StepConfig.of(config, state, "fp32", config.total_images(60_000))
    attempt = Attempt(folder, 1)
    attempt.create()
    checkpoints = CheckpointManager(attempt, {})
    for _ in range(3):
        run_round(state, step_config)
    costs = [_checkpoint(state, step_config, checkpoints) for _ in range(repeats)]
    size = sum(path.stat().st_size for path in max(attempt.checkpoints.iterdir()).iterdir())
    return Cost(size, *(median(values) for values in zip(*costs, strict=True)))


def _checkpoint(
    state: TrainingState, step_config: StepConfig, checkpoints: CheckpointManager
) -> tuple[float, float, float, float, float]:
    """Measure the fields of a `Cost` after its size."""
    checkpoints.save(state)
    run_round(state, step_config)
    started = time.perf_counter()
    checkpoints.save_rollback_checkpoint(state)
    rollback = time.perf_counter() - started
    checkpoints.wait()
    run_round(state, step_config)
    started = time.perf_counter()
    checkpoints.save(state)
    stopped = time.perf_counter() - started
    rounds = 0
    while checkpoints.busy:
        run_round(state, step_config)
        rounds += 1
    writing = time.perf_counter() - started - stopped
    checkpoints.wait()
    quiet = time.perf_counter()
    for _ in range(rounds):
        run_round(state, step_config)
    took = time.perf_counter() - quiet
    return stopped, rollback, writing, writing - took, took / (rounds * step_config.images_per_round)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of checkpoints.")
    parser.add_argument("--repeats", type=int, default=7, help="checkpoints of each preset")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(
        "| preset | state | copy | share | writing | share with slowdown | rollback checkpoint | share | within 2 % |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for preset, batch in PRESETS.items():
        config = resolve(TrainRequest(preset=preset, dataset="mnist", overrides={"batch_size": batch}))
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(config, Path(folder), arguments.repeats)
        every = config.total_images(60_000) / config.snapshots
        stopped, affected, rollbacks = cost.shares(60 * config.checkpoint_minutes, every)
        verdict = "yes" if affected + rollbacks <= BOUND else "no"
        print(
            f"| {preset} | {cost.size / 1e6:.0f} MB | {cost.stopped * 1000:.0f} ms | {stopped:.2%} "
            f"| {cost.writing:.2f} s | {affected:.2%} | {cost.rollback * 1000:.0f} ms | {rollbacks:.2%} | {verdict} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
