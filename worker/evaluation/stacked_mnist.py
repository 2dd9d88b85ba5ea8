"""Mode count of a generator of Stacked MNIST: three digits as the colours of one image, 1,000 combinations.

    python -m worker.evaluation.stacked_mnist stacked@best

A classifier of single digits, with an accuracy of 99 % on held-out ones, classifies each colour of 25,600 samples.
Reported are the number of combinations and the reverse KL divergence from a uniform distribution (Metz et al. 2017,
arXiv 1611.02163; Lin et al. 2018, arXiv 1712.04086). Real images, classified in the same way, give the baseline.
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

from models.datasets.catalogue import DatasetProblem
from models.store.errors import ModelError
from models.store.local import LocalStore
from models.store.weights import CheckpointError, load_generator
from worker.adam import Adam
from worker.data.ingest import prepare
from worker.data.prepared import Prepared
from worker.evaluation.cache import load_or_train_network
from worker.evaluation.metrics import class_shares, reverse_kl
from worker.evaluation.samples import GeneratorSampler, Indices, permutation, real_batches, to_float
from worker.settings import WorkerSettings, settings

SAMPLES: Final = 25_600
MODES: Final = 1_000
MIN_ACCURACY: Final = 0.99
EPOCHS: Final = 4
_FORMAT: Final = 1
_BATCH: Final = 100
_LEARNING_RATE: Final = 2e-3
_HELD_OUT: Final = 1 / 6


class Modes(NamedTuple):
    """How many of the 1,000 combinations occur, and KL(found || uniform) in nats."""

    occurring: int
    divergence: float


def build_classifier() -> nn.Sequential:
    """Build a classifier of digits, float32 `[N, 1, 28, 28]` to logits `[N, 10]`."""
    # Always the same initial weights, without a change of the global random state.
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


def train(classifier: nn.Module, digits: Prepared, epochs: int = EPOCHS) -> float:
    """Train a classifier on five sixths of the digits and return its accuracy on the others."""
    assert digits.labels is not None, "digits have labels"
    labels = torch.from_numpy(digits.labels)
    order = permutation(digits.count)
    held_out, training = order[: round(_HELD_OUT * digits.count)], order[round(_HELD_OUT * digits.count) :]
    optimizer = Adam(classifier, _LEARNING_RATE, (0.9, 0.999))
    generator = torch.Generator().manual_seed(0)
    steps = epochs * len(training) // _BATCH
    classifier.train()
    for step in range(steps):
        drawn: Indices = training[torch.randint(len(training), (_BATCH,), generator=generator).numpy()]
        optimizer.lr = _LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        images = to_float(torch.from_numpy(digits.images[drawn]))
        # Augmentation: shifts by up to a pixel. Digits have a wide border, so that nothing is cut off.
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        loss = cross_entropy(classifier(images.roll((down, right), (2, 3))), labels[drawn])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    classifier.eval()
    predicted = classify_channels(classifier, real_batches(digits, held_out, torch.device("cpu")))[:, 0]
    return float((predicted == labels[held_out]).double().mean())


@torch.no_grad()
def classify_channels(classifier: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Classify every channel of uint8 images `[B, C, 28, 28]` as a digit: int64 `[N, C]`."""
    found = [classifier(to_float(images).flatten(0, 1)[:, None]).argmax(1).view(len(images), -1) for images in batches]
    return torch.cat(found)


def count_modes(digits: Tensor) -> Modes:
    """Count the combinations among the digits int64 `[N, 3]`."""
    places = torch.tensor([100, 10, 1])
    found = class_shares((digits * places).sum(1), MODES)
    uniform = torch.full_like(found, 1 / MODES)
    return Modes(int((found > 0).sum()), reverse_kl(found, uniform))


def load_or_train_classifier(worker_settings: WorkerSettings) -> tuple[nn.Module, float]:
    """Load the classifier of digits and its accuracy; train it first where there is no complete file.

    Raises:
        DatasetProblem: MNIST is not available, or the accuracy is too low; then nothing is kept.
    """

    def train_and_check() -> tuple[nn.Module, float]:
        classifier = build_classifier()
        accuracy = train(classifier, _prepare("mnist", 1, worker_settings))
        if accuracy < MIN_ACCURACY:
            raise DatasetProblem(
                f"the classifier of digits has an accuracy of {accuracy:.2%} and needs {MIN_ACCURACY:.0%}: check that "
                f"the files of mnist in {worker_settings.datasets_dir} are complete"
            )
        return classifier, accuracy

    path = worker_settings.evaluation_dir / f"digits-v{_FORMAT}.safetensors"
    classifier, accuracy = load_or_train_network(path, build_classifier, train_and_check)
    return classifier.eval(), accuracy


def _prepare(dataset: str, channels: int, worker_settings: WorkerSettings) -> Prepared:
    return prepare(
        dataset,
        28,
        channels,
        datasets_dir=worker_settings.datasets_dir,
        images_dir=worker_settings.images_dir,
        prepared_dir=worker_settings.prepared_dir,
    )


def generate_samples(ref: str, model_dir: Path) -> Iterable[Tensor]:
    """Generate images of the model `NAME`, `NAME@VERSION` or `NAME@ALIAS`, uint8 `[B, 3, 28, 28]` in batches.

    Raises:
        ModelError: there is no such version.
        CheckpointError: its weights cannot be used.
        DatasetProblem: its images are not stacked digits.
    """
    store = LocalStore(model_dir)
    version = store.resolve(ref)
    config = version.manifest.generator
    if (config.size, config.channels, config.classes) != (28, 3, 0):
        raise DatasetProblem(
            f"{version.ref} makes {config.channels}x{config.size}x{config.size} images: stacked digits are 3x28x28, "
            "without classes; train a model on the data set stacked-mnist"
        )
    generator = load_generator(store.read(version, version.manifest.first.weights), config)
    return GeneratorSampler(config, SAMPLES, torch.device("cpu")).generate(generator)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the modes of a generator of Stacked MNIST.")
    parser.add_argument(
        "model", nargs="?", help="NAME, NAME@VERSION or NAME@ALIAS; without one only the baseline is reported"
    )
    arguments = parser.parse_args()
    worker_settings = settings()
    try:
        classifier, accuracy = load_or_train_classifier(worker_settings)
        print(f"accuracy of the classifier: {accuracy:.2%}; {SAMPLES:,} images each\n")  # noqa: T201
        print("| images | modes of 1,000 | reverse KL |\n| --- | --- | --- |")  # noqa: T201
        stacked = _prepare("stacked-mnist", 3, worker_settings)
        sources = {"real": real_batches(stacked, permutation(stacked.count)[:SAMPLES], torch.device("cpu"))}
        if arguments.model:
            sources[arguments.model] = iter(generate_samples(arguments.model, worker_settings.model_dir))
        for name, images in sources.items():
            found = count_modes(classify_channels(classifier, images))
            print(f"| {name} | {found.occurring} | {found.divergence:.4f} |", flush=True)  # noqa: T201
    except (ModelError, CheckpointError, DatasetProblem) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
