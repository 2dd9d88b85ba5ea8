"""Steadiness: preset `quick-28` with 20 seeds, as many images as two minutes of one thread give.

    python -m benchmarks.seeds --datasets data/datasets --work /var/tmp/quality --jobs 2

Each is judged as in `benchmarks.quality` (whose `--work` folder keeps the classifier), and what its guard saw last
stands beside that: how much its images differ from one another (1 is as much as real ones), and how often it was taken
back. A run has collapsed if a class is rarer than 1 %, or if its images differ by less than half as much as real ones.
`--jobs` processes of one thread run at a time; the length is chosen beforehand, by the processor time of short runs,
or told: on a busy machine processor time is no measure of what a quiet one does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.quality import Verdict, mnist_judge, painted
from benchmarks.timed import Harness, Trained
from models.config.presets import TrainRequest

PRESET = "quick-28"
RAREST = 0.01
DIVERSITY = 0.5


def fate(trained: Trained, verdict: Verdict | None) -> str:
    """Say how a run ended, in a word or in the last words of its log."""
    if verdict is None:
        return trained.log.splitlines()[-1] if trained.log else "died"
    diversity = trained.watched.get("diversity")
    if verdict.shares.min() < RAREST or (diversity is not None and diversity < DIVERSITY):
        return "collapsed"
    return "healthy"


def main() -> None:
    """Train every seed, and print a table and a sentence."""
    parser = argparse.ArgumentParser(description="quick-28 with many seeds: does one collapse or diverge?")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the classifier and the runs")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0")
    parser.add_argument("--seconds", type=float, default=120.0, help="of processor time for each")
    parser.add_argument("--kimg", type=float, help="length of each, instead of --seconds")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    judge = mnist_judge(arguments.work, arguments.datasets)
    lost: list[str] = []
    with Harness(arguments.work / "house", arguments.datasets, threads=1) as harness:
        request = TrainRequest(preset=PRESET)
        kimg = arguments.kimg or harness.affordable(request, arguments.seconds, lambda trained: trained.process_seconds)
        requests = [request.model_copy(update={"seed": seed, "kimg": kimg}) for seed in range(arguments.seeds)]
        print("| seed | kimg | processor, s | distance | rarest, commonest | diversity | taken back | end |")
        print("| --- " * 8 + "|")
        for trained in harness.train_each(requests, arguments.jobs):
            verdict = judge(painted(trained.weights, trained.config.generator_config())) if trained.weights else None
            end = fate(trained, verdict)
            seed, diversity = trained.config.seed, trained.watched.get("diversity")
            back = trained.ticks[-1]["rollbacks"] if trained.ticks else "-"
            figures = f"{verdict or '- | -'} | {'-' if diversity is None else f'{diversity:.2f}'} | {back}"
            print(f"| {seed} | {trained.kimg:.0f} | {trained.process_seconds:.0f} | {figures} | {end} |", flush=True)
            lost += [] if end == "healthy" else [f"{seed} ({end})"]
    print(f"\nNone of {len(requests)} collapsed or diverged." if not lost else f"\nLost: {', '.join(lost)}.")


if __name__ == "__main__":
    main()
