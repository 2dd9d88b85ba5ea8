"""Families: narrow `r3gan` against narrow `dcgan` on MNIST and CIFAR-10, after the same processor time of one thread.

    python -m benchmarks.families --datasets data/datasets --work /var/tmp/quality

A CPU shows each some hundred thousand images in that time. `r3gan` is narrower than its presets, takes its penalties at
every eighth step, and trains at five times its rates, which are made for a hundred times the images. Judged as in
`benchmarks.quality`, by a classifier trained on each data set: distances compare within a data set only. CIFAR-10 is
read from `cifar10/cifar10-train.npz` and `-test.npz` below `--datasets`: arrays `jpeg` (all files, one after the
other), `offsets` (of each, and the end), `labels` and `classes`.
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

from benchmarks.quality import Judge, accuracy, mnist, painted, trained_classifier
from benchmarks.timed import Harness
from models.config.presets import TrainRequest

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
class Contest:
    """A data set, its images with their labels, and presets with what is changed of them.

    `dataset` is its name to a run, `images` gives those of the training or of the test split, and `epochs` is how long
    the classifier learns.
    """

    dataset: str
    images: Callable[[Path, bool], tuple[Tensor, Tensor]]
    epochs: int
    entrants: dict[str, dict[str, Any]]


def cifar10(datasets: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Give CIFAR-10's images, uint8 `[N, 3, 32, 32]`, and labels, int64 `[N]`."""
    files = list(_files(datasets, train))
    images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data, _, _ in files])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor([label for _, label, _ in files])


def unpack_cifar10(datasets: Path, images_dir: Path) -> None:
    """Lay out CIFAR-10's training images as a folder of files, one folder for each class, if they are not there."""
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


CONTESTS: Final = {
    "mnist": Contest(
        "mnist",
        lambda datasets, train: mnist(datasets, train=train),
        4,
        {"dcgan-28": {}, "r3gan-28": {**_widths([48, 32, 16], [16, 32, 48]), **_SHORT}},
    ),
    "cifar10": Contest(
        "folder:cifar10",
        cifar10,
        8,
        {
            "dcgan-32": _widths([128, 64, 32], [32, 64, 128]),
            "r3gan-32": {**_widths([64, 48, 32, 16], [16, 32, 48, 64]), **_SHORT},
        },
    ),
}


def hold(name: str, contest: Contest, harness: Harness, arguments: argparse.Namespace) -> None:
    """Train and judge every entrant of a contest, and print a line for each."""
    # The digits' classifier is that of the other benchmarks.
    work: Path = arguments.work if name == "mnist" else arguments.work / name
    work.mkdir(parents=True, exist_ok=True)
    classifier = trained_classifier(work, *contest.images(arguments.datasets, True), contest.epochs)
    test_images, test_labels = contest.images(arguments.datasets, False)
    judge = Judge(classifier, test_images)
    print(
        f"| {name} | its classifier | | | | {accuracy(classifier, test_images, test_labels):.1%} right | |", flush=True
    )
    for preset, overrides in contest.entrants.items():
        request = TrainRequest(preset=preset, dataset=contest.dataset, overrides=dict(overrides))
        kimg = harness.affordable(request, arguments.seconds, lambda trained: trained.process_seconds)
        for seed in arguments.seeds:
            trained = harness.train(request.model_copy(update={"seed": seed, "kimg": kimg}))
            figures = f"{name} | {preset} | {seed} | {trained.kimg:.0f} | {trained.process_seconds:.0f}"
            if not trained.weights:
                raise SystemExit(f"{figures}: failed\n{trained.log}")
            print(f"| {figures} | {judge(painted(trained.weights, trained.config.generator_config()))} |", flush=True)


def main() -> None:
    """Hold every contest, and print a table."""
    parser = argparse.ArgumentParser(description="r3gan against dcgan at equal processor time.")
    parser.add_argument("--datasets", type=Path, default=Path("data/datasets"), help="folder with mnist and cifar10")
    parser.add_argument("--work", type=Path, required=True, help="folder for classifiers, images and runs")
    parser.add_argument("--seconds", type=float, default=300.0, help="of processor time for each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", choices=tuple(CONTESTS), nargs="+", default=list(CONTESTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| data set | preset | seed | kimg | processor, s | distance | rarest, commonest |")
    print("| --- " * 7 + "|", flush=True)
    with Harness(arguments.work / "house", arguments.datasets, threads=1) as harness:
        if "cifar10" in arguments.only:
            unpack_cifar10(arguments.datasets, harness.images_dir)
        for name in arguments.only:
            hold(name, CONTESTS[name], harness, arguments)


if __name__ == "__main__":
    main()
