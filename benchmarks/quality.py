"""Training quality: preset `mlp-mnist` after 100 epochs against the plain program after 100 epochs.

    python -m benchmarks.quality --datasets data/datasets --work /var/tmp/quality

Both are judged by the Fréchet distance (Heusel et al. 2017, arXiv 1706.08500, eq. 6) between 10,000 samples and MNIST's
10,000 test images, on the features of a small classifier that is trained here; so the figures compare with each other
only, and are no FID. 10,000 training images against the test images give the floor. `--work` keeps the generators and
the classifier: what is there is not trained again, and our own training goes on from its newest checkpoint.
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

from benchmarks import ours, plain
from models.config.networks import GeneratorConfig
from models.config.presets import TrainRequest, resolve
from models.inference import run_generator
from models.inputs import Inputs, make_inputs
from models.store import weights as checkpoint
from worker.training.resolution import choose_precision

SAMPLES = 10_000
BATCH = 500
UPDATES_PER_EPOCH = 600
Features = NDArray[np.float64]


def plain_samples(work: Path, datasets: Path, epochs: int) -> Tensor:
    """Give uint8 `[10000, 1, 28, 28]` of the plain program, training it first where its weights are not there."""
    path = work / "plain" / f"generator-{epochs:03d}.safetensors"
    generator = plain.generator()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        trained = plain.train(datasets / "mnist", epochs * UPDATES_PER_EPOCH)
        checkpoint.save(trained.generator.state_dict(), path)
    generator.load_state_dict(checkpoint.load(path.read_bytes()))
    noise = torch.randn(SAMPLES, plain.LATENT, generator=torch.Generator().manual_seed(1))
    return run_generator(generator, Inputs({"z": noise.numpy()}), batch_size=BATCH).view(SAMPLES, 1, 28, 28)


def our_samples(work: Path, datasets: Path, epochs: int) -> Tensor:
    """Give uint8 `[10000, 1, 28, 28]` of preset `mlp-mnist` as users get it, training it first if need be."""
    path = work / "ours" / f"generator-{epochs:03d}.safetensors"
    config = resolve(TrainRequest(preset="mlp-mnist", epochs=epochs))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        prepared = ours.prepare_mnist(datasets, work)
        published = ours.Published()
        torch.set_flush_denormal(True)
        ours.make_loop(config, prepared, path.parent / "run", choose_precision(config, ours.CPU), published).run()
        path.write_bytes(published.weights)
    return painted(path.read_bytes(), config.generator_config())


def painted(weights: bytes, config: GeneratorConfig, seed: int = 1) -> Tensor:
    """Give uint8 `[10000, C, size, size]`: images 0 to 9,999 of a seed, as the service paints them.

    Of a conditional generator each class is as likely as another.
    """
    indices = np.arange(SAMPLES, dtype=np.int64)
    inputs = make_inputs(config.inputs, seed, indices)
    return run_generator(checkpoint.load_generator(weights, config), inputs, batch_size=BATCH)


class Classifier(nn.Module):
    """A small convolutional classifier of ten classes; its 64 features are what distances are measured on."""

    def __init__(self, channels: int = 1, size: int = 28) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * (size // 4) ** 2, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits `[N, 10]` for float32 images `[N, C, size, size]` in [-1, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


def trained_classifier(work: Path, images: Tensor, labels: Tensor, epochs: int = 4) -> Classifier:
    """Give the classifier of uint8 images `[N, C, size, size]`, trained on them if `work` has none."""
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
def _each(network: Callable[[Tensor], Tensor], images: Tensor) -> Iterator[Tensor]:
    for part in torch.split(images, BATCH):
        yield network(_floats(part))


def features(classifier: Classifier, images: Tensor) -> Features:
    """Give float64 `[N, 64]` for uint8 `[N, C, size, size]`."""
    return torch.cat(list(_each(classifier.features, images))).double().numpy()


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """Give the share of images that the classifier names rightly."""
    return float((torch.cat(list(_each(classifier, images))).argmax(1) == labels).double().mean())


def classes(classifier: Classifier, images: Tensor) -> NDArray[np.float64]:
    """Give the share of each digit among images, as the classifier sees them."""
    found = torch.cat(list(_each(classifier, images))).argmax(1)
    return np.bincount(found.numpy(), minlength=10) / len(images)


def frechet_distance(left: Features, right: Features) -> float:
    """Give |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), the distance of two normal distributions."""
    covariances = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
    root = _square_root(covariances[0])
    # C1 C2 and root C2 root have the same eigenvalues, and the latter is symmetric.
    eigenvalues = np.linalg.eigvalsh(root @ covariances[1] @ root)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    offset = left.mean(0) - right.mean(0)
    return float(offset @ offset + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross)


@dataclass(frozen=True)
class Verdict:
    """How far images are from the test images, and the share of each class among them."""

    distance: float
    shares: NDArray[np.float64]

    def __str__(self) -> str:
        return f"{self.distance:.2f} | {self.shares.min():.1%}, {self.shares.max():.1%}"


class Judge:
    """Judges images by a classifier, beside a data set's test images."""

    def __init__(self, classifier: Classifier, test_images: Tensor) -> None:
        self._classifier = classifier
        self._reference = features(classifier, test_images)

    def __call__(self, images: Tensor) -> Verdict:
        """Judge uint8 images `[N, C, size, size]`."""
        distance = frechet_distance(features(self._classifier, images), self._reference)
        return Verdict(distance, classes(self._classifier, images))


def mnist_judge(work: Path, datasets: Path) -> Judge:
    """Give the judge of digits, whose classifier is kept in `work`."""
    classifier = trained_classifier(work, *mnist(datasets, train=True))
    test_images, test_labels = mnist(datasets, train=False)
    print(f"classifier: {accuracy(classifier, test_images, test_labels):.2%} of the test images", flush=True)
    return Judge(classifier, test_images)


def _square_root(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(symmetric)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def _floats(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def mnist(datasets: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Give MNIST's images, uint8 `[N, 1, 28, 28]`, and labels, int64 `[N]`."""
    data = MNIST(str(datasets / "mnist"), train=train, download=True)
    return data.data[:, None], data.targets


def main() -> None:
    """Train what is missing, measure, and print a table."""
    parser = argparse.ArgumentParser(description="Quality of mlp-mnist against the plain program.")
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

    judge = mnist_judge(work, datasets)
    train_images, _ = mnist(datasets, train=True)
    chosen = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    print("| images | Fréchet distance to the test images | rarest and commonest digit |\n| --- | --- | --- |")
    sources: dict[str, Callable[[], Tensor]] = {
        "MNIST training images": lambda: train_images[chosen],
        f"plain program, {epochs} epochs": lambda: plain_samples(work, datasets, epochs),
        f"mlp-mnist, {epochs} epochs": lambda: our_samples(work, datasets, epochs),
    }
    for name, samples in sources.items():
        print(f"| {name} | {judge(samples())} |", flush=True)


if __name__ == "__main__":
    main()
