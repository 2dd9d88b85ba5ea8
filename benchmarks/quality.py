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
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.datasets import MNIST

from benchmarks import ours, plain
from models import checkpoint
from models.latents import latents
from models.pictures import to_uint8
from models.presets import TrainRequest, resolve
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
    return _sample(generator, noise)


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
    generator = checkpoint.load_generator(path.read_bytes(), config.generator_config())
    return _sample(generator, torch.from_numpy(latents(config.latent, 1, np.arange(SAMPLES, dtype=np.int64))))


@torch.no_grad()
def _sample(generator: nn.Module, noise: Tensor) -> Tensor:
    images = torch.cat([generator(part) for part in torch.split(noise, BATCH)]).view(-1, 1, 28, 28)
    return torch.from_numpy(to_uint8(images.numpy()))


class Classifier(nn.Module):
    """A small convolutional classifier of digits; its 64 features are what distances are measured on."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits `[N, 10]` for float32 images `[N, 1, 28, 28]` in [-1, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


def trained_classifier(work: Path, images: Tensor, labels: Tensor, epochs: int = 4) -> Classifier:
    """Give the classifier, trained on MNIST's training images if `work` has none."""
    path = work / "classifier.safetensors"
    torch.manual_seed(0)
    classifier = Classifier()
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
    """Give float64 `[N, 64]` for uint8 `[N, 1, 28, 28]`."""
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


def _square_root(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(symmetric)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def _floats(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def _mnist(datasets: Path, *, train: bool) -> tuple[Tensor, Tensor]:
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

    (train_images, train_labels), (test_images, test_labels) = (
        _mnist(datasets, train=train) for train in (True, False)
    )
    classifier = trained_classifier(work, train_images, train_labels)
    print(f"classifier: {accuracy(classifier, test_images, test_labels):.2%} of the test images", flush=True)
    chosen = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    reference = features(classifier, test_images)
    print("| images | Fréchet distance to the test images | rarest and commonest digit |\n| --- | --- | --- |")
    sources: dict[str, Callable[[], Tensor]] = {
        "MNIST training images": lambda: train_images[chosen],
        f"plain program, {epochs} epochs": lambda: plain_samples(work, datasets, epochs),
        f"mlp-mnist, {epochs} epochs": lambda: our_samples(work, datasets, epochs),
    }
    for name, samples in sources.items():
        images = samples()
        shares = classes(classifier, images)
        distance = frechet_distance(features(classifier, images), reference)
        print(f"| {name} | {distance:.2f} | {shares.min():.1%}, {shares.max():.1%} |", flush=True)


if __name__ == "__main__":
    main()
