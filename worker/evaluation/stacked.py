"""Counts the modes of a generator of Stacked MNIST: three digits as one picture's colours, 1,000 combinations.

    python -m worker.evaluation.stacked stacked@best

A reader of single digits, which names 99 % of held-out ones rightly, reads each colour of 25,600 samples. Told are the
combinations among them and the reverse KL divergence from all being equally frequent (Metz et al. 2017, arXiv
1611.02163; Lin et al. 2018, arXiv 1712.04086). Real pictures, read in the same way, give the floor.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.store.local import ModelDirectory, ModelError
from models.store.weights import CheckpointError, load_generator
from worker.adam import Adam
from worker.data.ingest import prepare
from worker.data.prepared import DataProblem, Prepared
from worker.evaluation import learned
from worker.evaluation.balance import divergence, shares
from worker.evaluation.samples import GeneratorSampler, Indices, permutation, real, to_float
from worker.settings import WorkerSettings, settings

SAMPLES: Final = 25_600
MODES: Final = 1_000
ACCURACY: Final = 0.99
EPOCHS: Final = 4
_FORMAT: Final = 1
_BATCH: Final = 100
_RATE: Final = 2e-3
_HELD_OUT: Final = 1 / 6


class Modes(NamedTuple):
    """How many of 1,000 combinations occur, and KL(found || even) in nats."""

    occurring: int
    divergence: float


def new_reader() -> nn.Sequential:
    """Build a reader of digits, float32 `[N, 1, 28, 28]` to logits `[N, 10]`; torch's own random state stays."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48 * 49, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )


def train(reader: nn.Module, digits: Prepared, epochs: int = EPOCHS) -> float:
    """Train a reader on five sixths of some digits, and give the share of the others that it then reads rightly."""
    assert digits.labels is not None, "digits have labels"
    labels = torch.from_numpy(digits.labels)
    order = permutation(digits.count)
    held_out, chosen = order[: round(_HELD_OUT * digits.count)], order[round(_HELD_OUT * digits.count) :]
    optimizer = Adam(reader, _RATE, (0.9, 0.999))
    generator = torch.Generator().manual_seed(0)
    steps = epochs * len(chosen) // _BATCH
    reader.train()
    for step in range(steps):
        drawn: Indices = chosen[torch.randint(len(chosen), (_BATCH,), generator=generator).numpy()]
        optimizer.lr = _RATE * (1 + math.cos(math.pi * step / steps)) / 2
        images = to_float(torch.from_numpy(digits.images[drawn]))
        # Moved by a pixel or not: digits are written within a wide border.
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        loss = cross_entropy(reader(images.roll((down, right), (2, 3))), labels[drawn])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    reader.eval()
    return float((read(reader, real(digits, held_out, torch.device("cpu")))[:, 0] == labels[held_out]).double().mean())


@torch.no_grad()
def read(reader: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Read every channel of uint8 images `[B, C, 28, 28]` as a digit: int64 `[N, C]`."""
    found = [reader(to_float(images).flatten(0, 1)[:, None]).argmax(1).view(len(images), -1) for images in batches]
    return torch.cat(found)


def modes(digits: Tensor) -> Modes:
    """Count the combinations among int64 `[N, 3]`."""
    places = torch.tensor([100, 10, 1])
    found = shares((digits * places).sum(1), MODES)
    even = torch.full_like(found, 1 / MODES)
    return Modes(int((found > 0).sum()), divergence(found, even))


def obtain_reader(house: WorkerSettings) -> tuple[nn.Module, float]:
    """Give the house's reader and its accuracy, training it where there is none yet, or none that is whole.

    Raises:
        DataProblem: MNIST cannot be had, or was not learned well enough; then nothing is kept.
    """

    def learn() -> tuple[nn.Module, float]:
        reader = new_reader()
        accuracy = train(reader, _prepared("mnist", 1, house))
        if accuracy < ACCURACY:
            raise DataProblem(
                f"the reader names {accuracy:.2%} of digits rightly, and at least {ACCURACY:.0%} are needed: are "
                f"the files of mnist in {house.datasets_dir} whole?"
            )
        return reader, accuracy

    reader, accuracy = learned.obtain(house.evaluation_dir / f"digits-v{_FORMAT}.safetensors", new_reader, learn)
    return reader.eval(), accuracy


def _prepared(dataset: str, channels: int, house: WorkerSettings) -> Prepared:
    return prepare(
        dataset,
        28,
        channels,
        datasets_dir=house.datasets_dir,
        images_dir=house.images_dir,
        prepared_dir=house.prepared_dir,
    )


def sample(ref: str, model_dir: Path) -> Iterable[Tensor]:
    """Paint the samples of a model that is named `NAME`, `NAME@VERSION` or `NAME@ALIAS`.

    Raises:
        ModelError: there is no such version.
        CheckpointError: its weights cannot be used.
        DataProblem: its images are no stacked digits.
    """
    directory = ModelDirectory(model_dir)
    version = directory.resolve(ref)
    assert version.manifest is not None, f"{version.ref} was resolved, so it is whole"
    config = version.manifest.generator
    if (config.size, config.channels, config.classes) != (28, 3, 0):
        raise DataProblem(
            f"{version.ref} makes {config.channels}x{config.size}x{config.size} images: stacked digits are 3x28x28, "
            "without classes; train a model on the data set stacked-mnist"
        )
    generator = load_generator(directory.read_weights(version), config)
    return GeneratorSampler(config, SAMPLES, torch.device("cpu")).draw(generator)


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description="Count the modes of a generator of Stacked MNIST.")
    parser.add_argument("model", nargs="?", help="NAME, NAME@VERSION or NAME@ALIAS; without one only the floor is told")
    arguments = parser.parse_args()
    house = settings()
    try:
        reader, accuracy = obtain_reader(house)
        print(f"reader: {accuracy:.2%} of held-out digits, {SAMPLES:,} pictures each\n")  # noqa: T201
        print("| pictures | modes of 1,000 | reverse KL |\n| --- | --- | --- |")  # noqa: T201
        stacked = _prepared("stacked-mnist", 3, house)
        sources = {"real": real(stacked, permutation(stacked.count)[:SAMPLES], torch.device("cpu"))}
        if arguments.model:
            sources[arguments.model] = iter(sample(arguments.model, house.model_dir))
        for name, pictures in sources.items():
            found = modes(read(reader, pictures))
            print(f"| {name} | {found.occurring} | {found.divergence:.4f} |", flush=True)  # noqa: T201
    except (ModelError, CheckpointError, DataProblem) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
