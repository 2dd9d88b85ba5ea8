"""A small classifier trained on a labelled data set itself: distances are taken on its features, classes counted by it.

It is made once for each data set and kept in the data directory. Distances on it compare generators of that set with
each other, and are no FID.
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
from worker.evaluation import learned
from worker.evaluation.samples import Indices, permutation, to_float

FORMAT: Final = 2
"""Raise it when the same data would give another classifier: earlier files are then passed over."""
SIDE: Final = 28
FEATURES: Final = 64
SHOWN: Final = 76_800
MAX_CLASSES: Final = 1_000
_BATCH: Final = 128
_RATE: Final = 3e-3
_BETAS: Final = (0.9, 0.999)
_SEED: Final = 0
_HELD_OUT: Final = 0.1
_MOST_HELD_OUT: Final = 2_000
_WIDTHS: Final = (16, 32)


class Network(nn.Module):
    """Two convolutions and a layer of 64 features; larger images are brought to 28 px first."""

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
        """Give float32 `[N, 64]` for float32 images `[N, C, H, H]` in [-1, 1]."""
        if images.shape[-1] != SIDE:
            images = interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Give logits `[N, classes]`."""
        logits: Tensor = self.head(self.features(images))
        return logits


class Seen(NamedTuple):
    """Features float32 `[N, 64]` and the likeliest classes, int64 `[N]`."""

    features: Tensor
    labels: Tensor


class Classifier:
    """A trained network, its share of held-out images named rightly, and a name that tells it from every other."""

    def __init__(self, network: Network, accuracy: float, device: torch.device) -> None:
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.contiguous().numpy().tobytes())
        self.name = digest.hexdigest()[:12]
        self.accuracy = accuracy
        self._network = network.eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def see(self, images: Tensor) -> Seen:
        """Look at float32 images in [-1, 1], on the classifier's device."""
        features = self._network.features(images)
        return Seen(features, self._network.head(features).argmax(1))

    @property
    def protocol(self) -> str:
        """Say what it is."""
        return (
            f"{FEATURES} features of a classifier trained on the data itself (v{FORMAT}, {self.name}, {SIDE} px, "
            f"{self.accuracy:.2%} of held-out images right)"
        )


def suits(prepared: Prepared) -> bool:
    """Tell whether a data set has labels that a classifier could learn and be tested on."""
    return 2 <= len(prepared.classes) <= MAX_CLASSES and prepared.count >= 10 * len(prepared.classes)


def obtain(prepared: Prepared, folder: Path, device: torch.device, log: Callable[[str], None]) -> Classifier:
    """Give the classifier of a data set for which it `suits`, training it first where `folder` has none.

    Raises:
        OSError: it could not be written, such as on a full disk.
    """

    def learn() -> tuple[Network, float]:
        network = train(prepared, device)
        accuracy = measure(network, prepared, device)
        log(f"a classifier of {prepared.manifest.dataset} was trained for evaluations; it is kept in {folder}")
        return network, accuracy

    path = folder / f"{_identity(prepared)}-v{FORMAT}.safetensors"
    return Classifier(*learned.obtain(path, lambda: _empty(prepared), learn), device)


def _identity(prepared: Prepared) -> str:
    """Name what a classifier depends on: pixels and labels."""
    hashes = prepared.manifest.sha256
    return hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest()[:32]


def _empty(prepared: Prepared) -> Network:
    """Build a network, and leave torch's own random state where it was."""
    with torch.random.fork_rng(devices=()):
        return Network(prepared.manifest.channels, len(prepared.classes))


class _Part(NamedTuple):
    training: Indices
    held_out: Indices


def _parts(count: int) -> _Part:
    order = permutation(count)
    held_out = min(_MOST_HELD_OUT, max(1, round(_HELD_OUT * count)))
    return _Part(order[held_out:], order[:held_out])


def train(prepared: Prepared, device: torch.device) -> Network:
    """Train a classifier by 600 steps of Adam, from one seed; it takes seconds.

    It learns from nine tenths of the data, and draws from a random generator of its own.
    """
    generator = torch.Generator().manual_seed(_SEED)
    network = _empty(prepared)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    network.to(device).train()
    optimizer = Adam(network, _RATE, _BETAS)
    steps = SHOWN // _BATCH
    chosen = _parts(prepared.count).training
    for step, (images, labels) in enumerate(_batches(prepared, chosen, steps, generator, device)):
        # Rising over the first tenth, then falling to nothing by half a cosine.
        optimizer.lr = _RATE * min(1.0, 10 * (step + 1) / steps) * (1 + math.cos(math.pi * step / steps)) / 2
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return network.cpu()


def _batches(
    prepared: Prepared, chosen: Indices, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    assert prepared.labels is not None, "a classifier needs labels"
    for _ in range(steps):
        drawn = torch.randint(len(chosen), (_BATCH,), generator=generator).numpy()
        indices = chosen[drawn]
        images = torch.from_numpy(prepared.images[indices]).to(device)
        yield to_float(images), torch.from_numpy(prepared.labels[indices]).to(device)


@torch.no_grad()
def measure(network: Network, prepared: Prepared, device: torch.device) -> float:
    """Give the share of the held-out images that a network names rightly."""
    assert prepared.labels is not None, "a classifier needs labels"
    held_out = np.sort(_parts(prepared.count).held_out)
    network.to(device).eval()
    right = 0
    for start in range(0, len(held_out), _BATCH):
        indices = held_out[start : start + _BATCH]
        logits = network(to_float(torch.from_numpy(prepared.images[indices]).to(device)))
        right += int((logits.argmax(1).cpu().numpy() == prepared.labels[indices]).sum())
    return right / len(held_out)
