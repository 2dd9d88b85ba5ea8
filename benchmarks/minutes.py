"""Quality in minutes: preset `quick-28` on two threads, whole, against the plain program after 100 epochs.

    python -m benchmarks.minutes --datasets data/datasets --work /var/tmp/quality

Both are judged as in `benchmarks.quality`, whose `--work` folder holds the plain program's generator and the
classifier: what is not there is trained first, which takes the plain program an hour. Each training is a process of
its own, as a worker starts it, and its seconds are from start to exit: torch's import, snapshots, scores, guard,
checkpoints and publications are part of them. `--seconds` chooses the length beforehand, by the pace of short
runs; without it the preset's own holds. `--override penalty.weight=0.05 batch_size=32` probes other settings.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality import mnist_judge, painted, plain_samples
from benchmarks.timed import Harness
from models.config.presets import TrainRequest

PRESET = "quick-28"
PLAIN_EPOCHS = 100


def override(text: str) -> tuple[str, Any]:
    """Read `NAME=VALUE`, the value as JSON."""
    name, _, value = text.partition("=")
    return name, json.loads(value)


def main() -> None:
    """Train, judge, and print a table."""
    parser = argparse.ArgumentParser(description="quick-28 after minutes against the plain program after an hour.")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the plain generator and the classifier")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="of wall time that a run may take; default: the preset's length")
    parser.add_argument("--override", type=override, nargs="+", default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    judge = mnist_judge(arguments.work, arguments.datasets)
    plain = judge(plain_samples(arguments.work, arguments.datasets, PLAIN_EPOCHS))

    print("| program | kimg | wall, s | processor, s | distance | rarest, commonest | of plain |")
    print("| --- " * 7 + "|")
    print(f"| plain, {PLAIN_EPOCHS} epochs | | | | {plain} | 1 |", flush=True)
    with Harness(arguments.work / "house", arguments.datasets, arguments.threads) as harness:
        request = TrainRequest(preset=PRESET, overrides=dict(arguments.override))
        if arguments.seconds is not None:
            kimg = harness.affordable(request, arguments.seconds, lambda trained: trained.seconds)
            request = request.model_copy(update={"kimg": kimg})
        for seed in arguments.seeds:
            trained = harness.train(request.model_copy(update={"seed": seed}))
            if not trained.weights:
                raise SystemExit(f"seed {seed} failed:\n{trained.log}")
            verdict = judge(painted(trained.weights, trained.config.generator_config()))
            figures = f"{trained.kimg:.0f} | {trained.seconds:.1f} | {trained.process_seconds:.1f} | {verdict}"
            print(f"| {PRESET}, seed {seed} | {figures} | {verdict.distance / plain.distance:.2f} |", flush=True)


if __name__ == "__main__":
    main()
