"""One set of images reduced to what measures need, and the data's set with which every other one is compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from worker.evaluation import balance, frechet, kernel_distance, precision_recall
from worker.evaluation.classifier import Classifier
from worker.evaluation.diversity import COUNT, spread
from worker.evaluation.inception import Inception
from worker.evaluation.precision_recall import balls
from worker.evaluation.samples import to_float
from worker.evaluation.sliced import DIRECTIONS, PATCH, PATCHES, Patches, SlicedWasserstein, sizes

SLICED: Final = "sliced_wasserstein"
DIVERSITY: Final = "diversity"
BALANCE: Final = "balance"
CLASSIFIER: Final = "classifier"
INCEPTION: Final = "inception"
CLASSIFIER_FRECHET: Final = "classifier_frechet"
FID: Final = "fid"
KID: Final = "kid"
OF_INCEPTION: Final = (FID, KID)


@dataclass(frozen=True)
class FeatureExtractor:
    """The networks that look at images beside the measures that need none."""

    classifier: Classifier | None = None
    inception: Inception | None = None


@dataclass
class Collected:
    """A set of images, reduced.

    Attributes:
        count: of the images.
        patches: of all of them.
        few: float32 `[n, C, H, W]`, the first 500 of them.
        features: float32 `[N, D]`, by the name of the network that gave them.
        labels: int64 `[N]`, the classes that the classifier sees.
    """

    count: int
    patches: Patches
    few: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None


def collect(batches: Iterable[Tensor], count: int, eyes: FeatureExtractor) -> Collected:
    """Reduce `count` images, uint8 `[B, C, H, W]` in batches; of their pixels no more than patches and 500 are held."""
    few: list[Tensor] = []
    features: dict[str, list[Tensor]] = {}
    labels: list[Tensor] = []
    patches: Patches | None = None
    for batch in batches:
        images = to_float(batch)
        if patches is None:
            patches = Patches(count, batch.shape[-1], batch.shape[1], batch.device)
        patches.add(images)
        if sum(map(len, few)) < COUNT:
            few.append(images)
        if eyes.classifier is not None:
            seen = eyes.classifier.see(images)
            features.setdefault(CLASSIFIER, []).append(seen.features)
            labels.append(seen.labels)
        if eyes.inception is not None:
            features.setdefault(INCEPTION, []).append(eyes.inception.features(batch))
    assert patches is not None, "there is an image at least"
    joined = {name: torch.cat(parts) for name, parts in features.items()}
    return Collected(count, patches, torch.cat(few)[:COUNT], joined, torch.cat(labels) if labels else None)


@dataclass(frozen=True)
class Measured:
    """One measure's value for a set of images, and its deviation over blocks of them where it has one."""

    value: float
    deviation: float | None = None


class Reference:
    """The data's side of every comparison.

    Args:
        real: images of the data.
        expected: float64 `[classes]`, the share of each class among all the data's labels; None without a classifier.
    """

    def __init__(self, real: Collected, expected: Tensor | None = None) -> None:
        self.count = real.count
        self._expected = expected
        self._few = real.few
        self._features = real.features
        self._sliced = SlicedWasserstein(real.patches)
        self._moments = {name: frechet.Moments.of(features) for name, features in real.features.items()}
        self._balls = {name: balls(features) for name, features in real.features.items()}

    def compare(self, other: Collected) -> dict[str, Measured]:
        """Measure another set against this one, by the measures' names."""
        found = {
            SLICED: Measured(self._sliced.distance(other.patches)),
            DIVERSITY: Measured(self._diversity(other.few)),
        }
        for name, features in other.features.items():
            found |= dict(self._by_features(name, features))
        if other.labels is not None and self._expected is not None:
            shares = balance.shares(other.labels, len(self._expected))
            found[BALANCE] = Measured(balance.divergence(shares, self._expected))
        return found

    def _by_features(self, name: str, features: Tensor) -> Iterator[tuple[str, Measured]]:
        distance = frechet.distance(self._moments[name], frechet.Moments.of(features))
        if name == INCEPTION:
            yield FID, Measured(distance)
            yield KID, Measured(*kernel_distance.discrepancy(self._features[name], features))
        else:
            yield CLASSIFIER_FRECHET, Measured(distance)
        for measure, value in precision_recall.agreement(self._balls[name], balls(features))._asdict().items():
            yield f"{name}_{measure}", Measured(value)

    def _diversity(self, few: Tensor) -> float:
        """Give how many times as far apart as real images some others are; 1 is as far."""
        count = min(len(few), len(self._few))
        real = spread(self._few[:count])
        return spread(few[:count]) / real if real > 0 else 1.0


def methods(size: int, eyes: FeatureExtractor) -> dict[str, str]:
    """Say how each measure is taken of images of `size` px; what is written here decides what may be compared."""
    sides = "/".join(map(str, sizes(size)))
    found = {
        SLICED: f"{PATCHES} patches of {PATCH} px at {sides} px, {DIRECTIONS} directions, x1000, v1; not resized",
        DIVERSITY: f"mean distance to the nearest of {COUNT} images, of that of real ones, pixels, v1; not resized",
    }
    if eyes.classifier is not None:
        found |= {
            CLASSIFIER_FRECHET: eyes.classifier.protocol,
            BALANCE: f"KL(seen || labels) in nats; {eyes.classifier.protocol}",
            **_agreement(CLASSIFIER, eyes.classifier.protocol),
        }
    if eyes.inception is not None:
        protocol = eyes.inception.protocol
        found |= {FID: protocol, KID: f"cubic kernel, blocks of {kernel_distance.BLOCK}; {protocol}"}
        found |= _agreement(INCEPTION, protocol)
    return found


def _agreement(name: str, protocol: str) -> dict[str, str]:
    three, five = (
        f"{neighbours} neighbours, at most {precision_recall.COUNT} images a side; {protocol}"
        for neighbours in (precision_recall.NEIGHBOURS, precision_recall.DENSE_NEIGHBOURS)
    )
    return {
        f"{name}_precision": three,
        f"{name}_recall": three,
        f"{name}_density": five,
        f"{name}_coverage": five,
    }
