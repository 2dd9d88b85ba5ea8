"""Stability: the preset `quick-28` with 20 seeds, each as long as one thread trains in two minutes.

    python -m benchmarks.seed_stability --datasets data/datasets --work /var/tmp/quality --jobs 2

Each is measured as in `benchmarks.quality` (whose `--work` folder keeps the classifier), beside what its guard watches:
the diversity of the last snapshot (1 is that of real images) and the number of rollbacks. A run has collapsed if a
class has a share below 1 %, or if the diversity is below a half. `--jobs` processes of one thread run at a time. The
length is set by the processor time of probe runs, or by `--kimg`: on a busy machine processor time says little about a
quiet one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.quality import Quality, generate_samples, mnist_metric
from benchmarks.runs import FinishedRun, RunHarness
from models.config.requests import TrainRequest

PRESET = "quick-28"
MIN_SHARE = 0.01
MIN_DIVERSITY = 0.5


def outcome(trained: FinishedRun, quality: Quality | None) -> str:
    """Return `healthy`, `collapsed`, or the last line of a failed run's log."""
    if quality is None:
        return trained.log.splitlines()[-1] if trained.log else "died"
    diversity = trained.watched.get("diversity")
    if quality.shares.min() < MIN_SHARE or (diversity is not None and diversity < MIN_DIVERSITY):
        return "collapsed"
    return "healthy"


def main() -> None:
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
    metric = mnist_metric(arguments.work, arguments.datasets)
    failed: list[str] = []
    with RunHarness(arguments.work / "data", arguments.datasets, threads=1) as harness:
        request = TrainRequest(preset=PRESET)
        kimg = arguments.kimg or harness.kimg_within(
            request, arguments.seconds, lambda trained: trained.process_seconds
        )
        requests = [request.model_copy(update={"seed": seed, "kimg": kimg}) for seed in range(arguments.seeds)]
        print("| seed | kimg | processor, s | distance | rarest, commonest | diversity | rollbacks | outcome |")
        print("| --- " * 8 + "|")
        for trained in harness.train_each(requests, arguments.jobs):
            quality = (
                metric(generate_samples(trained.weights, trained.config.generator_config()))
                if trained.weights
                else None
            )
            end = outcome(trained, quality)
            seed, diversity = trained.config.seed, trained.watched.get("diversity")
            rollbacks = trained.ticks[-1]["rollbacks"] if trained.ticks else "-"
            figures = f"{quality or '- | -'} | {'-' if diversity is None else f'{diversity:.2f}'} | {rollbacks}"
            print(f"| {seed} | {trained.kimg:.0f} | {trained.process_seconds:.0f} | {figures} | {end} |", flush=True)
            failed += [] if end == "healthy" else [f"{seed} ({end})"]
    print(f"\nNone of {len(requests)} collapsed or diverged." if not failed else f"\nNot healthy: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
