"""Quality after minutes: complete runs of the preset `quick-28` against the reference program after 100 epochs.

    python -m benchmarks.quick_training --datasets data/datasets --work /var/tmp/quality

Both are measured as in `benchmarks.quality`. Its `--work` folder holds the reference generator and the classifier: a
missing one is trained first, which takes the reference program an hour. Each run is a process of its own, as a worker
starts it, timed from start to exit: torch's import, snapshots, scores, guard, checkpoints and publications are
included. `--seconds` sets the length by the speed of probe runs, instead of the preset's. `--override
penalty.weight=0.05 batch_size=32` tries other settings.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality import generate_samples, mnist_metric, reference_samples
from benchmarks.runs import RunHarness
from models.config.requests import TrainRequest

PRESET = "quick-28"
REFERENCE_EPOCHS = 100


def override(text: str) -> tuple[str, Any]:
    """Parse `NAME=VALUE`, the value as JSON."""
    name, _, value = text.partition("=")
    return name, json.loads(value)


def main() -> None:
    parser = argparse.ArgumentParser(description="quick-28 after minutes against the reference program after an hour.")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the reference generator and the classifier"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="of wall time that a run may take; default: the preset's length")
    parser.add_argument("--override", type=override, nargs="+", default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    metric = mnist_metric(arguments.work, arguments.datasets)
    reference = metric(reference_samples(arguments.work, arguments.datasets, REFERENCE_EPOCHS))

    print("| program | kimg | wall, s | processor, s | distance | rarest, commonest | of reference |")
    print("| --- " * 7 + "|")
    print(f"| reference, {REFERENCE_EPOCHS} epochs | | | | {reference} | 1 |", flush=True)
    with RunHarness(arguments.work / "data", arguments.datasets, arguments.threads) as harness:
        request = TrainRequest(preset=PRESET, overrides=dict(arguments.override))
        if arguments.seconds is not None:
            kimg = harness.kimg_within(request, arguments.seconds, lambda trained: trained.seconds)
            request = request.model_copy(update={"kimg": kimg})
        for seed in arguments.seeds:
            trained = harness.train(request.model_copy(update={"seed": seed}))
            if not trained.weights:
                raise SystemExit(f"seed {seed} failed:\n{trained.log}")
            quality = metric(generate_samples(trained.weights, trained.config.generator_config()))
            figures = f"{trained.kimg:.0f} | {trained.seconds:.1f} | {trained.process_seconds:.1f} | {quality}"
            print(f"| {PRESET}, seed {seed} | {figures} | {quality.distance / reference.distance:.2f} |", flush=True)


if __name__ == "__main__":
    main()
