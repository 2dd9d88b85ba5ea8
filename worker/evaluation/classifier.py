"""A small classifier of a labelled data set: its features give distances, its predictions class balance.

Distances on its features compare generators of one data set with each other; they are not FIDs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from worker.adam import Adam
from worker.data.prepared import Prepared
from worker.evaluation.cache import load_or_train_network
from worker.evaluation.samples import Indices, permutation, to_float

# Incremented when the same data would give another classifier: earlier files are then ignored.
FORMAT: Final = 2
SIDE: Final = 28
FEATURES: Final = 64
TRAINING_IMAGES: Final = 76_800
MAX_CLASSES: Final = 1_000
_BATCH: Final = 128
_LEARNING_RATE: Final = 3e-3
_BETAS: Final = (0.9, 0.999)
_SEED: Final = 0
_HELD_OUT: Final = 0.1  # share of the images
_MAX_HELD_OUT: Final = 2_000
_WIDTHS: Final = (16, 32)


class Network(nn.Module):
    """Two convolutions and a layer of 64 features; images of other sizes are resized to 28 px first."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, _WIDTHS[0], 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(_WIDTHS[0], _WIDTHS[1], 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(_WIDTHS[1] * (SIDE // 4) ** 2, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """Compute float32 `[N, 64]` of float32 images `[N, C, H, H]` in [-1, 1]."""
        if images.shape[-1] != SIDE:
            images = interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits `[N, classes]`."""
        logits: Tensor = self.head(self.features(images))
        return logits


class Predictions(NamedTuple):
    """Features float32 `[N, 64]` and the most likely classes, int64 `[N]`."""

    features: Tensor
    labels: Tensor


class Classifier:
    """A trained network, its accuracy on held-out images, and a name derived from its weights."""

    def __init__(self, network: Network, accuracy: float, device: torch.device) -> None:
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.contiguous().numpy().tobytes())
        self.name = digest.hexdigest()[:12]
        self.accuracy = accuracy
        self._network = network.eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Predictions:
        """Classify float32 images in [-1, 1] on the classifier's device."""
        features = self._network.features(images)
        return Predictions(features, self._network.head(features).argmax(1))

    @property
    def protocol(self) -> str:
        """Its description in the protocols of scores; compared literally."""
        return (
            f"{FEATURES} features of a classifier trained on the data itself (v{FORMAT}, {self.name}, {SIDE} px, "
            f"{self.accuracy:.2%} of held-out images right)"
        )


def is_classifiable(prepared: Prepared) -> bool:
    """Return whether a data set has enough labelled images to train and to test a classifier."""
    return 2 <= len(prepared.classes) <= MAX_CLASSES and prepared.count >= 10 * len(prepared.classes)


def load_or_train_classifier(
    prepared: Prepared, folder: Path, device: torch.device, log: Callable[[str], None]
) -> Classifier:
    """Load the classifier of a data set that `is_classifiable`; train it first if `folder` has none.

    Raises:
        OSError: it could not be written, such as on a full disk.
    """

    def train_and_measure() -> tuple[Network, float]:
        network = train_classifier(prepared, device)
        accuracy = measure_accuracy(network, prepared, device)
        log(f"trained a classifier of {prepared.manifest.dataset} for evaluations; it is kept in {folder}")
        return network, accuracy

    path = folder / f"{_identity(prepared)}-v{FORMAT}.safetensors"
    return Classifier(*load_or_train_network(path, lambda: _build(prepared), train_and_measure), device)


# A hash of pixels and labels, on which a classifier depends.
def _identity(prepared: Prepared) -> str:
    hashes = prepared.manifest.sha256
    return hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest()[:32]


def _build(prepared: Prepared) -> Network:
    # The global random state belongs to the training.
    with torch.random.fork_rng(devices=()):
        return Network(prepared.manifest.channels, len(prepared.classes))


class _HoldOut(NamedTuple):
    training: Indices
    held_out: Indices


def _hold_out(count: int) -> _HoldOut:
    # The same split as long as the data is the same, so that accuracies can be compared.
    order = permutation(count)
    held_out = min(_MAX_HELD_OUT, max(1, round(_HELD_OUT * count)))
    return _HoldOut(order[held_out:], order[:held_out])


def train_classifier(prepared: Prepared, device: torch.device) -> Network:
    """Train a classifier by 600 steps of Adam on nine tenths of the data; takes seconds."""
    # Always the same seed, in a generator of its own: an evaluation must not change random numbers of the training.
    generator = torch.Generator().manual_seed(_SEED)
    network = _build(prepared)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    network.to(device).train()
    optimizer = Adam(network, _LEARNING_RATE, _BETAS)
    steps = TRAINING_IMAGES // _BATCH
    indices = _hold_out(prepared.count).training
    for step, (images, labels) in enumerate(_batches(prepared, indices, steps, generator, device)):
        # The learning rate: a linear rise over the first tenth, and a half cosine down to 0.
        optimizer.lr = _LEARNING_RATE * min(1.0, 10 * (step + 1) / steps) * (1 + math.cos(math.pi * step / steps)) / 2
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return network.cpu()


def _batches(
    prepared: Prepared, indices: Indices, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    assert prepared.labels is not None, "a classifier needs labels"
    for _ in range(steps):
        drawn = indices[torch.randint(len(indices), (_BATCH,), generator=generator).numpy()]
        images = torch.from_numpy(prepared.images[drawn]).to(device)
        yield to_float(images), torch.from_numpy(prepared.labels[drawn]).to(device)


@torch.no_grad()
def measure_accuracy(network: Network, prepared: Prepared, device: torch.device) -> float:
    """Compute the share of the held-out images that a network classifies correctly."""
    assert prepared.labels is not None, "a classifier needs labels"
    held_out = np.sort(_hold_out(prepared.count).held_out)
    network.to(device).eval()
    correct = 0
    for start in range(0, len(held_out), _BATCH):
        indices = held_out[start : start + _BATCH]
        logits = network(to_float(torch.from_numpy(prepared.images[indices]).to(device)))
        correct += int((logits.argmax(1).cpu().numpy() == prepared.labels[indices]).sum())
    return correct / len(held_out)
