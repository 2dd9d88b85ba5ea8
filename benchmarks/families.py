"""Families: narrow `r3gan` against narrow `dcgan` on MNIST and CIFAR-10, after the same processor time of one thread.

    python -m benchmarks.families --datasets data/datasets --work /var/tmp/quality

A CPU trains each on some hundred thousand images in that time. `r3gan` is narrower than its presets, computes its
penalties at every eighth step, and trains at five times its learning rates, which suit a hundred times the images.
Measured as in `benchmarks.quality`, by a classifier of each data set: distances compare within a data set only.
CIFAR-10 is read from `cifar10/cifar10-train.npz` and `-test.npz` below `--datasets`: arrays `jpeg` (all files, one
after the other), `offsets` (of each, and the end), `labels` and `classes`.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.quality import QualityMetric, accuracy, generate_samples, load_or_train_classifier, mnist
from benchmarks.runs import RunHarness
from models.config.requests import TrainRequest

_SHORT: Final[dict[str, Any]] = {
    "penalty.every": 8,
    "batch_size": 64,
    "generator.lr": 1e-3,
    "generator.lr_end": 2.5e-4,
    "discriminator.lr": 1e-3,
    "discriminator.lr_end": 2.5e-4,
}


def _widths(generator: list[int], discriminator: list[int]) -> dict[str, Any]:
    return {"generator.network.widths": generator, "discriminator.network.widths": discriminator}


@dataclass(frozen=True)
class Comparison:
    """Presets that are compared on one data set.

    Attributes:
        dataset: its name in a training request.
        images: loads images and labels of the training (True) or the test split.
        epochs: of the classifier's training.
        overrides: of each preset, by its name.
    """

    dataset: str
    images: Callable[[Path, bool], tuple[Tensor, Tensor]]
    epochs: int
    overrides: dict[str, dict[str, Any]]


def cifar10(datasets: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Load CIFAR-10: images uint8 `[N, 3, 32, 32]` and labels int64 `[N]`."""
    files = list(_files(datasets, train))
    images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data, _, _ in files])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor([label for _, label, _ in files])


def unpack_cifar10(datasets: Path, images_dir: Path) -> None:
    """Write the training images of CIFAR-10 into one folder per class, unless they are there."""
    target = images_dir / "cifar10"
    if target.exists():
        return
    for index, (data, _, name) in enumerate(_files(datasets, True)):
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:05d}.jpg").write_bytes(data)


def _files(datasets: Path, train: bool) -> Iterator[tuple[bytes, int, str]]:
    with np.load(datasets / "cifar10" / f"cifar10-{'train' if train else 'test'}.npz") as file:
        data, labels, names = file["jpeg"].tobytes(), file["labels"].tolist(), file["classes"].tolist()
        for (start, end), label in zip(pairwise(file["offsets"]), labels, strict=True):
            yield data[start:end], label, names[label]


COMPARISONS: Final = {
    "mnist": Comparison(
        "mnist",
        lambda datasets, train: mnist(datasets, train=train),
        4,
        {"dcgan-28": {}, "r3gan-28": {**_widths([48, 32, 16], [16, 32, 48]), **_SHORT}},
    ),
    "cifar10": Comparison(
        "folder:cifar10",
        cifar10,
        8,
        {
            "dcgan-32": _widths([128, 64, 32], [32, 64, 128]),
            "r3gan-32": {**_widths([64, 48, 32, 16], [16, 32, 48, 64]), **_SHORT},
        },
    ),
}


def compare(name: str, comparison: Comparison, harness: RunHarness, arguments: argparse.Namespace) -> None:
    """Train and measure every preset, and print a line for each."""
    # The classifier of MNIST is shared with the other benchmarks.
    work: Path = arguments.work if name == "mnist" else arguments.work / name
    work.mkdir(parents=True, exist_ok=True)
    classifier = load_or_train_classifier(work, *comparison.images(arguments.datasets, True), comparison.epochs)
    test_images, test_labels = comparison.images(arguments.datasets, False)
    metric = QualityMetric(classifier, test_images)
    print(
        f"| {name} | the classifier | | | | accuracy {accuracy(classifier, test_images, test_labels):.1%} | |",
        flush=True,
    )
    for preset, overrides in comparison.overrides.items():
        request = TrainRequest(preset=preset, dataset=comparison.dataset, overrides=dict(overrides))
        kimg = harness.kimg_within(request, arguments.seconds, lambda trained: trained.process_seconds)
        for seed in arguments.seeds:
            trained = harness.train(request.model_copy(update={"seed": seed, "kimg": kimg}))
            figures = f"{name} | {preset} | {seed} | {trained.kimg:.0f} | {trained.process_seconds:.0f}"
            if not trained.weights:
                raise SystemExit(f"{figures}: failed\n{trained.log}")
            print(
                f"| {figures} | {metric(generate_samples(trained.weights, trained.config.generator_config()))} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="r3gan against dcgan at equal processor time.")
    parser.add_argument("--datasets", type=Path, default=Path("data/datasets"), help="folder with mnist and cifar10")
    parser.add_argument("--work", type=Path, required=True, help="folder for classifiers, images and runs")
    parser.add_argument("--seconds", type=float, default=300.0, help="of processor time for each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", choices=tuple(COMPARISONS), nargs="+", default=list(COMPARISONS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| data set | preset | seed | kimg | processor, s | distance | rarest, commonest |")
    print("| --- " * 7 + "|", flush=True)
    with RunHarness(arguments.work / "data", arguments.datasets, threads=1) as harness:
        if "cifar10" in arguments.only:
            unpack_cifar10(arguments.datasets, harness.images_dir)
        for name in arguments.only:
            compare(name, COMPARISONS[name], harness, arguments)


if __name__ == "__main__":
    main()
