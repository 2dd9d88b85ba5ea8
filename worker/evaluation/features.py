"""Feature extraction: from a set of images to the values that the metrics need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from worker.evaluation import packaged as packaged_images
from worker.evaluation.classifier import Classifier
from worker.evaluation.diversity import COUNT
from worker.evaluation.inception import Inception
from worker.evaluation.packaged import PackagedFeatures
from worker.evaluation.samples import to_float
from worker.evaluation.sliced_wasserstein import Patches

CLASSIFIER: Final = "classifier"
INCEPTION: Final = "inception"
EFFICIENTNET: Final = "efficientnet"


@dataclass(frozen=True)
class FeatureExtractors:
    """The networks whose features are compared; sliced Wasserstein distance and diversity need none."""

    classifier: Classifier | None = None
    inception: Inception | None = None
    efficientnet: PackagedFeatures | None = None


@dataclass
class ImageFeatures:
    """A set of `count` images, reduced.

    Attributes:
        patches: of all images.
        images: float32 `[n, C, H, W]`, the first 500 of them.
        features: float32 `[N, D]`, by the name of the network; packaged ones of the first images only.
        labels: int64 `[N]`, the classes that the classifier predicts.
    """

    count: int
    patches: Patches
    images: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None


def extract_features(
    batches: Iterable[Tensor], count: int, extractors: FeatureExtractors, packaged: int | None = None
) -> ImageFeatures:
    """Extract the features of `count` images, uint8 `[B, C, H, W]` in batches; packaged ones of the first ones only."""
    limit = packaged_images.IMAGES if packaged is None else packaged
    images: list[Tensor] = []
    features: dict[str, list[Tensor]] = {}
    labels: list[Tensor] = []
    patches: Patches | None = None
    for batch in batches:
        # Batches are reduced at once: 10,000 images of 256 px and three channels as float32 would take 7.9 GB.
        values = to_float(batch)
        if patches is None:
            patches = Patches(count, batch.shape[-1], batch.shape[1], batch.device)
        patches.add(values)
        if sum(map(len, images)) < COUNT:
            images.append(values)
        if extractors.classifier is not None:
            predictions = extractors.classifier.predict(values)
            features.setdefault(CLASSIFIER, []).append(predictions.features)
            labels.append(predictions.labels)
        if extractors.efficientnet is not None and (done := sum(map(len, features.get(EFFICIENTNET, ())))) < limit:
            found = extractors.efficientnet.features(batch[: limit - done])
            features.setdefault(EFFICIENTNET, []).append(found)
        if extractors.inception is not None:
            features.setdefault(INCEPTION, []).append(extractors.inception.features(batch))
    assert patches is not None, "there is at least one image"
    joined = {name: torch.cat(parts) for name, parts in features.items()}
    return ImageFeatures(count, patches, torch.cat(images)[:COUNT], joined, torch.cat(labels) if labels else None)
