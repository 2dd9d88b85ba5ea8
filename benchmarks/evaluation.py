"""What evaluations cost: each measure on one thread, and all of a run's against the time that its training takes.

    python -m benchmarks.evaluation --datasets data/datasets --work /var/tmp/evaluation

Trainings are timed by a few rounds; their evaluations are those of the plan that a run of the preset would get.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import ours
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.evaluation.evaluator import Evaluator
from worker.evaluation.schedule import schedule_evaluations
from worker.training.resolution import choose_precision
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState, seeds
from worker.training.step_config import StepConfig

PRESETS = ("quick-28", "mlp-mnist", "dcgan-28")
ROUNDS = 30


def seconds(work: Callable[[], object]) -> float:
    """Time some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(preset: str, prepared: Prepared, folder: Path) -> str:
    """Give a row of the table for one preset."""
    config: TrainingConfig = resolve(TrainRequest(preset=preset, dataset="mnist"))
    precision = choose_precision(config, ours.CPU)
    found = schedule_evaluations(config, prepared, "cpu", precision, 1, lambda: False)
    state = TrainingState(config, Loader(prepared, config.batch_size, seeds(config.seed).data, ours.CPU), ours.CPU)
    step_config = StepConfig.of(config, state, precision, config.total_images(prepared.count))
    run_round(state, step_config)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        run_round(state, step_config)
    each = (time.perf_counter() - start) / ROUNDS
    training = each * config.total_images(prepared.count) / step_config.images_per_round

    judge = Evaluator(config, prepared, ours.CPU, found, folder, print)
    first = seconds(lambda: judge(state.averages["average"], 0, final=False))
    again = seconds(lambda: judge(state.averages["average"], 0, final=False))
    end = seconds(lambda: judge(state.averages["average"], 0, final=True)) if found.final else again
    snapshots = config.snapshots // found.every if found.every else 0
    published = math.ceil(1 / config.publish_every) - 1 if found.publications else 0
    total = (snapshots + published) * again + end + (first - again)
    return (
        f"| {preset} | {training:,.0f} s | {snapshots + published} | {again:.2f} s | {end:.2f} s | "
        f"{total / training:.2%} | {found.share:.2%} |"
    )


def main() -> None:
    """Measure every preset of the table, and print it."""
    parser = argparse.ArgumentParser(description="What evaluations cost.")
    parser.add_argument("--datasets", type=Path, default=Path("data/datasets"), help="holds mnist/MNIST/raw")
    parser.add_argument("--work", type=Path, required=True, help="folder for the prepared set and the classifier")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    prepared = ours.prepare_mnist(arguments.datasets, arguments.work)
    print("| preset | training | evaluations | each | the end | of the training | planned |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for preset in PRESETS:
        # Once for the classifier and the floors, which a data set pays for once.
        measure(preset, prepared, arguments.work / "evaluation")
        print(measure(preset, prepared, arguments.work / "evaluation"), flush=True)


if __name__ == "__main__":
    main()
