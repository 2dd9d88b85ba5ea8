"""Training speed: preset `mlp-mnist` against the reference program, same threads, batch and number of updates.

    python -m benchmarks.training --datasets data/datasets

`DIR/mnist/MNIST/raw` holds the files of MNIST. The programs take turns, so that a busy machine disturbs them alike;
images per second are medians over the turns, and each turn's seed is new, so that the losses have a spread to be
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

from benchmarks import ours, reference_gan
from models.artifacts.history import read_ticks
from models.config.requests import TrainRequest, resolve
from worker.training.devices.allocator import keep_memory
from worker.training.step_config import ComputePrecision

WINDOW = 100  # updates whose losses are averaged


@dataclass(frozen=True)
class Turn:
    """One program's turn: its pace, and its losses averaged over windows of updates."""

    images_per_second: float
    loss_d: list[float]
    loss_g: list[float]


@dataclass(frozen=True)
class Program:
    """A program in a process of its own, for each sets up memory and numbers for itself."""

    turn: Callable[[int, int], Turn]
    process: ProcessPoolExecutor

    def take(self, seed: int, threads: int) -> Turn:
        """Let it run once."""
        return self.process.submit(self.turn, seed, threads).result()


def reference_turn(root: Path, updates: int, seed: int, threads: int) -> Turn:
    """Run the reference program."""
    torch.set_num_threads(threads)
    state = reference_gan.train(root, updates, seed)
    return Turn(state.images / state.seconds, _windows(state.loss_d), _windows(state.loss_g))


def our_turn(datasets: Path, work: Path, updates: int, precision: ComputePrecision, seed: int, threads: int) -> Turn:
    """Run preset `mlp-mnist`, cut to `updates`."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_memory()
    prepared = ours.prepare_mnist(datasets, work)
    kimg = updates * reference_gan.BATCH / 1000
    # A whole run takes a snapshot every 600 updates: a turn has fewer.
    tick_kimg = WINDOW * reference_gan.BATCH / 1000
    cut = {"tick_kimg": tick_kimg, "snapshots": 1, "publish_every": 1.0, "precision": precision}
    request = TrainRequest(preset="mlp-mnist", seed=seed, kimg=kimg, overrides=dict(cut))
    with tempfile.TemporaryDirectory() as folder:
        loop = ours.make_loop(resolve(request), prepared, Path(folder), precision, ours.Published())
        started = time.perf_counter()
        loop.run()
        seconds = time.perf_counter() - started
        ticks = read_ticks(Path(folder))
    return Turn(loop.state.images / seconds, [tick["loss_d"] for tick in ticks], [tick["loss_g"] for tick in ticks])


def measure(programs: dict[str, Program], turns: int, threads: int) -> dict[str, list[Turn]]:
    """Let the programs take turns."""
    results: dict[str, list[Turn]] = {name: [] for name in programs}
    for seed in range(turns):
        for name, program in programs.items():
            results[name].append(program.take(seed, threads))
    return results


def speeds(results: dict[str, list[Turn]]) -> str:
    """Lay out medians, and ratios to the reference program."""
    pace = {name: [turn.images_per_second for turn in turns] for name, turns in results.items()}
    base = median(pace["reference"])
    lines = ["| program | images/s (median) | slowest to fastest turn | ratio |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {median(values):.0f} | {min(values):.0f} to {max(values):.0f} | {median(values) / base:.2f}x |"
        for name, values in pace.items()
    ]
    return "\n".join(lines)


def losses(results: dict[str, list[Turn]]) -> str:
    """Lay out the loss curves: mean over the seeds, and their standard deviation."""
    names = list(results)
    windows = range(len(results["reference"][0].loss_d))
    lines = [f"| updates | loss | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for window in windows:
        for loss in ("loss_d", "loss_g"):
            cells = [_spread([getattr(turn, loss)[window] for turn in results[name]]) for name in names]
            lines.append(f"| to {(window + 1) * WINDOW} | {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _windows(values: list[float]) -> list[float]:
    return [fmean(values[start : start + WINDOW]) for start in range(0, len(values), WINDOW)]


def main() -> None:
    """Measure with one thread and with two, and print tables."""
    parser = argparse.ArgumentParser(description="Training speed against the reference program.")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument("--updates", type=int, default=300, help=f"updates per turn, a multiple of {WINDOW}")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    if arguments.updates % WINDOW:
        parser.error(f"--updates has to be a multiple of {WINDOW}")
    with tempfile.TemporaryDirectory() as work, ExitStack() as processes:
        ours.prepare_mnist(arguments.datasets, Path(work))
        updates, prepared = arguments.updates, (arguments.datasets, Path(work), arguments.updates)
        turns: dict[str, Callable[[int, int], Turn]] = {
            "reference": partial(reference_turn, arguments.datasets / "mnist", updates),
            "fp32": partial(our_turn, *prepared, "fp32"),
            "bf16": partial(our_turn, *prepared, "bf16"),
        }
        programs = {
            name: Program(turn, processes.enter_context(ProcessPoolExecutor(1, get_context("spawn"))))
            for name, turn in turns.items()
        }
        for threads in arguments.threads:
            results = measure(programs, arguments.turns, threads)
            print(f"\n{threads} thread(s), {arguments.turns} turns of {updates} updates\n", flush=True)
            print(speeds(results), losses(results), sep="\n\n", flush=True)


if __name__ == "__main__":
    main()
