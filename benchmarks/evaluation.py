"""Cost of evaluations: of one on one thread, and of all of a run as a share of its training time.

    python -m benchmarks.evaluation --datasets data/datasets --work /var/tmp/evaluation

Training time is extrapolated from a few rounds; evaluations follow the schedule of a run of the preset.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import training_loop
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
    """Measure the wall time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(preset: str, prepared: Prepared, folder: Path) -> str:
    """Measure one preset; returns a row of the table."""
    config: TrainingConfig = resolve(TrainRequest(preset=preset, dataset="mnist"))
    precision = choose_precision(config, training_loop.CPU)
    schedule = schedule_evaluations(config, prepared, "cpu", precision, 1, lambda: False)
    state = TrainingState(
        config, Loader(prepared, config.batch_size, seeds(config.seed).data, training_loop.CPU), training_loop.CPU
    )
    step_config = StepConfig.of(config, state, precision, config.total_images(prepared.count))
    run_round(state, step_config)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        run_round(state, step_config)
    each = (time.perf_counter() - start) / ROUNDS
    training = each * config.total_images(prepared.count) / step_config.images_per_round

    evaluate = Evaluator(config, prepared, training_loop.CPU, schedule, folder, print)
    first = seconds(lambda: evaluate(state.averages["average"], 0, final=False))
    again = seconds(lambda: evaluate(state.averages["average"], 0, final=False))
    end = seconds(lambda: evaluate(state.averages["average"], 0, final=True)) if schedule.final else again
    snapshots = config.snapshots // schedule.every if schedule.every else 0
    published = math.ceil(1 / config.publish_every) - 1 if schedule.publications else 0
    total = (snapshots + published) * again + end + (first - again)
    return (
        f"| {preset} | {training:,.0f} s | {snapshots + published} | {again:.2f} s | {end:.2f} s | "
        f"{total / training:.2%} | {schedule.share:.2%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of evaluations.")
    parser.add_argument("--datasets", type=Path, default=Path("data/datasets"), help="holds mnist/MNIST/raw")
    parser.add_argument("--work", type=Path, required=True, help="folder for the prepared set and the classifier")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    prepared = training_loop.prepare_mnist(arguments.datasets, arguments.work)
    print("| preset | training | evaluations | each | the end | of the training | planned |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for preset in PRESETS:
        # The first evaluation also trains the classifier and measures the baselines, once for each data set.
        measure(preset, prepared, arguments.work / "evaluation")
        print(measure(preset, prepared, arguments.work / "evaluation"), flush=True)


if __name__ == "__main__":
    main()
