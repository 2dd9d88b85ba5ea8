"""Training speed: preset `mlp-mnist` against the reference program, same threads, batch and number of updates.

    python -m benchmarks.training --datasets data/datasets

`DATASETS/mnist/MNIST/raw` holds the files of MNIST. The programs alternate, so that other load affects them alike.
Images per second are medians over the repeats; each repeat has a seed of its own, so that losses have a deviation to be
compared with. Atelier runs its whole loop: reports, snapshots and the last checkpoint are part of its time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median, stdev

import torch

from benchmarks import reference_gan, training_loop
from models.artifacts.history import read_ticks
from models.config.requests import TrainRequest, resolve
from models.config.resolved import ComputePrecision
from worker.training.devices.allocator import keep_memory

WINDOW = 100  # updates whose losses are averaged


@dataclass(frozen=True)
class Result:
    """One repeat of a program: its speed, and its losses averaged over windows of updates."""

    images_per_second: float
    loss_d: list[float]
    loss_g: list[float]


@dataclass(frozen=True)
class Program:
    """Run a program in a process of its own, because each configures memory and numerics of its process."""

    function: Callable[[int, int], Result]
    process: ProcessPoolExecutor

    def run(self, seed: int, threads: int) -> Result:
        return self.process.submit(self.function, seed, threads).result()


def run_reference(root: Path, updates: int, seed: int, threads: int) -> Result:
    torch.set_num_threads(threads)
    state = reference_gan.train(root, updates, seed)
    return Result(state.images / state.seconds, _windows(state.loss_d), _windows(state.loss_g))


def run_atelier(
    datasets: Path, work: Path, updates: int, precision: ComputePrecision, seed: int, threads: int
) -> Result:
    """Run the preset `mlp-mnist`, shortened to `updates`."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_memory()
    prepared = training_loop.prepare_mnist(datasets, work)
    kimg = updates * reference_gan.BATCH / 1000
    # A whole run takes a snapshot every 600 updates: a repeat has fewer.
    tick_kimg = WINDOW * reference_gan.BATCH / 1000
    cut = {"tick_kimg": tick_kimg, "snapshots": 1, "publish_every": 1.0, "precision": precision}
    request = TrainRequest(preset="mlp-mnist", seed=seed, kimg=kimg, overrides=dict(cut))
    with tempfile.TemporaryDirectory() as folder:
        loop = training_loop.make_loop(
            resolve(request), prepared, Path(folder), precision, training_loop.PublishedWeights()
        )
        started = time.perf_counter()
        loop.run()
        seconds = time.perf_counter() - started
        ticks = read_ticks(Path(folder))
    return Result(loop.state.images / seconds, [tick["loss_d"] for tick in ticks], [tick["loss_g"] for tick in ticks])


def measure(programs: dict[str, Program], repeats: int, threads: int) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {name: [] for name in programs}
    for seed in range(repeats):
        for name, program in programs.items():
            results[name].append(program.run(seed, threads))
    return results


def speeds(results: dict[str, list[Result]]) -> str:
    """Format median speeds, and ratios to the reference program, as a table."""
    speed = {name: [result.images_per_second for result in repeats] for name, repeats in results.items()}
    base = median(speed["reference"])
    lines = ["| program | images/s (median) | slowest to fastest | ratio |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {median(values):.0f} | {min(values):.0f} to {max(values):.0f} | {median(values) / base:.2f}x |"
        for name, values in speed.items()
    ]
    return "\n".join(lines)


def losses(results: dict[str, list[Result]]) -> str:
    """Format the loss curves, mean and standard deviation over the seeds, as a table."""
    names = list(results)
    windows = range(len(results["reference"][0].loss_d))
    lines = [f"| updates | loss | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for window in windows:
        for loss in ("loss_d", "loss_g"):
            cells = [_mean_and_deviation([getattr(result, loss)[window] for result in results[name]]) for name in names]
            lines.append(f"| to {(window + 1) * WINDOW} | {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_and_deviation(values: list[float]) -> str:
    return f"{fmean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _windows(values: list[float]) -> list[float]:
    return [fmean(values[start : start + WINDOW]) for start in range(0, len(values), WINDOW)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Training speed against the reference program.")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument("--updates", type=int, default=300, help=f"updates per repeat, a multiple of {WINDOW}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    if arguments.updates % WINDOW:
        parser.error(f"--updates has to be a multiple of {WINDOW}")
    with tempfile.TemporaryDirectory() as work, ExitStack() as processes:
        training_loop.prepare_mnist(arguments.datasets, Path(work))
        updates, prepared = arguments.updates, (arguments.datasets, Path(work), arguments.updates)
        functions: dict[str, Callable[[int, int], Result]] = {
            "reference": partial(run_reference, arguments.datasets / "mnist", updates),
            "fp32": partial(run_atelier, *prepared, "fp32"),
            "bf16": partial(run_atelier, *prepared, "bf16"),
        }
        programs = {
            name: Program(function, processes.enter_context(ProcessPoolExecutor(1, get_context("spawn"))))
            for name, function in functions.items()
        }
        for threads in arguments.threads:
            results = measure(programs, arguments.repeats, threads)
            print(f"\n{threads} thread(s), {arguments.repeats} repeats of {updates} updates\n", flush=True)
            print(speeds(results), losses(results), sep="\n\n", flush=True)


if __name__ == "__main__":
    main()
