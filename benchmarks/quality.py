"""Training quality: the preset `mlp-mnist` against the reference program, both after 100 epochs.

    python -m benchmarks.quality --datasets data/datasets --work /var/tmp/quality

The measure is the Fréchet distance between 10,000 samples and the 10,000 test images of MNIST, on the features of a
small classifier that is trained here: the figures compare with each other only, and are not FIDs. 10,000 training
images against the test images give the baseline. `--work` keeps the generators and the classifier: existing ones are
not trained again, and Atelier's training resumes from its newest checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.datasets import MNIST

from benchmarks import reference_gan, training_loop
from models.config.networks import GeneratorConfig
from models.config.requests import TrainRequest, resolve
from models.inference import run_generator
from models.inputs import Inputs, make_inputs
from models.store import weights as checkpoint
from worker.evaluation.metrics import Moments, frechet_distance
from worker.training.resolution import choose_precision

SAMPLES = 10_000
BATCH = 500
UPDATES_PER_EPOCH = 600


def reference_samples(work: Path, datasets: Path, epochs: int) -> Tensor:
    """Generate uint8 `[10000, 1, 28, 28]` by the reference program; train it first where its weights are missing."""
    path = work / "reference" / f"generator-{epochs:03d}.safetensors"
    generator = reference_gan.generator()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        trained = reference_gan.train(datasets / "mnist", epochs * UPDATES_PER_EPOCH)
        checkpoint.save(trained.generator.state_dict(), path)
    generator.load_state_dict(checkpoint.load(path.read_bytes()))
    noise = torch.randn(SAMPLES, reference_gan.LATENT, generator=torch.Generator().manual_seed(1))
    return run_generator(generator, Inputs({"z": noise.numpy()}), batch_size=BATCH).view(SAMPLES, 1, 28, 28)


def atelier_samples(work: Path, datasets: Path, epochs: int) -> Tensor:
    """Generate uint8 `[10000, 1, 28, 28]` by the preset `mlp-mnist` as users get it; train it first if need be."""
    path = work / "atelier" / f"generator-{epochs:03d}.safetensors"
    config = resolve(TrainRequest(preset="mlp-mnist", epochs=epochs))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        prepared = training_loop.prepare_mnist(datasets, work)
        published = training_loop.PublishedWeights()
        torch.set_flush_denormal(True)
        training_loop.make_loop(
            config, prepared, path.parent / "run", choose_precision(config, training_loop.CPU), published
        ).run()
        path.write_bytes(published.weights)
    return generate_samples(path.read_bytes(), config.generator_config())


def generate_samples(weights: bytes, config: GeneratorConfig, seed: int = 1) -> Tensor:
    """Generate images 0 to 9,999 of a seed, uint8 `[10000, C, size, size]`, of equally likely classes."""
    indices = np.arange(SAMPLES, dtype=np.int64)
    inputs = make_inputs(config.inputs, seed, indices)
    return run_generator(checkpoint.load_generator(weights, config), inputs, batch_size=BATCH)


class Classifier(nn.Module):
    """A small convolutional classifier of ten classes, with 64 features for the distances."""

    def __init__(self, channels: int = 1, size: int = 28) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * (size // 4) ** 2, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits `[N, 10]` of float32 images `[N, C, size, size]` in [-1, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


def load_or_train_classifier(work: Path, images: Tensor, labels: Tensor, epochs: int = 4) -> Classifier:
    """Load the classifier of uint8 images `[N, C, size, size]`; train it on them first if `work` has none."""
    path = work / "classifier.safetensors"
    torch.manual_seed(0)
    classifier = Classifier(images.shape[1], images.shape[2])
    if not path.exists():
        optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.split(torch.randperm(len(images)), 100):
                optimizer.zero_grad()
                cross_entropy(classifier(_floats(images[batch])), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        checkpoint.save(classifier.state_dict(), path)
    classifier.load_state_dict(checkpoint.load(path.read_bytes()))
    return classifier.eval()


@torch.no_grad()
def _batches(network: Callable[[Tensor], Tensor], images: Tensor) -> Iterator[Tensor]:
    for part in torch.split(images, BATCH):
        yield network(_floats(part))


def moments(classifier: Classifier, images: Tensor) -> Moments:
    """Compute mean and covariance of the features of uint8 `[N, C, size, size]`."""
    return Moments.of(torch.cat(list(_batches(classifier.features, images))))


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """Compute the share of images that are classified correctly."""
    return float((torch.cat(list(_batches(classifier, images))).argmax(1) == labels).double().mean())


def predicted_shares(classifier: Classifier, images: Tensor) -> NDArray[np.float64]:
    """Compute the share of each class among the classifier's predictions."""
    found = torch.cat(list(_batches(classifier, images))).argmax(1)
    return np.bincount(found.numpy(), minlength=10) / len(images)


@dataclass(frozen=True)
class Quality:
    """Fréchet distance to the test images, and the share of each class."""

    distance: float
    shares: NDArray[np.float64]

    def __str__(self) -> str:
        return f"{self.distance:.2f} | {self.shares.min():.1%}, {self.shares.max():.1%}"


class QualityMetric:
    """Measures images by a classifier, against the test images of a data set."""

    def __init__(self, classifier: Classifier, test_images: Tensor) -> None:
        self._classifier = classifier
        self._reference = moments(classifier, test_images)

    def __call__(self, images: Tensor) -> Quality:
        """Measure uint8 images `[N, C, size, size]`."""
        distance = frechet_distance(moments(self._classifier, images), self._reference)
        return Quality(distance, predicted_shares(self._classifier, images))


def mnist_metric(work: Path, datasets: Path) -> QualityMetric:
    """Load the metric of MNIST, whose classifier is kept in `work`."""
    classifier = load_or_train_classifier(work, *mnist(datasets, train=True))
    test_images, test_labels = mnist(datasets, train=False)
    print(f"accuracy of the classifier: {accuracy(classifier, test_images, test_labels):.2%}", flush=True)
    return QualityMetric(classifier, test_images)


def _floats(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def mnist(datasets: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Load MNIST: images uint8 `[N, 1, 28, 28]` and labels int64 `[N]`."""
    data = MNIST(str(datasets / "mnist"), train=train, download=True)
    return data.data[:, None], data.targets


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of mlp-mnist against the reference program.")
    parser.add_argument(
        "--datasets", type=Path, default=Path("data/datasets"), help="folder that holds mnist/MNIST/raw"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for generators and the classifier")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    work, datasets, epochs = arguments.work, arguments.datasets, arguments.epochs
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)

    metric = mnist_metric(work, datasets)
    train_images, _ = mnist(datasets, train=True)
    chosen = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    print("| images | Fréchet distance to the test images | rarest and commonest digit |\n| --- | --- | --- |")
    sources: dict[str, Callable[[], Tensor]] = {
        "MNIST training images": lambda: train_images[chosen],
        f"reference program, {epochs} epochs": lambda: reference_samples(work, datasets, epochs),
        f"mlp-mnist, {epochs} epochs": lambda: atelier_samples(work, datasets, epochs),
    }
    for name, samples in sources.items():
        print(f"| {name} | {metric(samples())} |", flush=True)


if __name__ == "__main__":
    main()
