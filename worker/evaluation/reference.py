"""Reference statistics of real images, with which other sets of images are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from models.scores import MEMORISATION
from worker.evaluation import metrics
from worker.evaluation.diversity import COUNT, nearest_neighbour_diversity
from worker.evaluation.features import CLASSIFIER, EFFICIENTNET, INCEPTION, FeatureExtractors, ImageFeatures
from worker.evaluation.sliced_wasserstein import DIRECTIONS, PATCH, PATCHES, SlicedWasserstein, level_sizes

SLICED_WASSERSTEIN: Final = "sliced_wasserstein"
DIVERSITY: Final = "diversity"
BALANCE: Final = "balance"
CLASSIFIER_FRECHET: Final = "classifier_frechet"
FID: Final = "fid"
KID: Final = "kid"
EFFICIENTNET_FRECHET: Final = "efficientnet_frechet"
EFFICIENTNET_KID: Final = "efficientnet_kid"
INCEPTION_SCORES: Final = (FID, KID)
EFFICIENTNET_SCORES: Final = ("efficientnet_kid", "efficientnet_frechet")


@dataclass(frozen=True)
class Measurement:
    """The value of a score, and its standard deviation over blocks of samples if it has one."""

    value: float
    deviation: float | None = None


class ReferenceStatistics:
    """Statistics of real images.

    Args:
        expected: float64 `[classes]`, the share of each class among all labels of the data; None without a classifier.
    """

    def __init__(self, real: ImageFeatures, expected: Tensor | None = None) -> None:
        self.count = real.count
        self._expected = expected
        self._images = real.images
        self._features = real.features
        self._sliced = SlicedWasserstein(real.patches)
        self._moments = {name: metrics.Moments.of(features) for name, features in real.features.items()}
        self._spheres = {name: metrics.hyperspheres(features) for name, features in real.features.items()}

    def compare(self, other: ImageFeatures) -> dict[str, Measurement]:
        """Return the scores of another set of images by name."""
        found = {
            SLICED_WASSERSTEIN: Measurement(self._sliced.distance(other.patches)),
            DIVERSITY: Measurement(self._relative_diversity(other.images)),
        }
        for name, features in other.features.items():
            found |= dict(self._compare_features(name, features))
        if other.labels is not None and self._expected is not None:
            shares = metrics.class_shares(other.labels, len(self._expected))
            found[BALANCE] = Measurement(metrics.reverse_kl(shares, self._expected))
        return found

    def _compare_features(self, name: str, features: Tensor) -> Iterator[tuple[str, Measurement]]:
        distance = metrics.frechet_distance(self._moments[name], metrics.Moments.of(features))
        # Only on Inception's features do the distances have the names that publications use.
        if name == INCEPTION:
            yield FID, Measurement(distance)
            yield KID, Measurement(*metrics.kernel_distance(self._features[name], features))
        elif name == EFFICIENTNET:
            yield EFFICIENTNET_FRECHET, Measurement(distance)
            yield EFFICIENTNET_KID, Measurement(*metrics.kernel_distance(self._features[name], features))
        else:
            yield CLASSIFIER_FRECHET, Measurement(distance)
        agreement = metrics.precision_recall(self._spheres[name], metrics.hyperspheres(features))
        for metric, value in agreement._asdict().items():
            yield f"{name}_{metric}", Measurement(value)

    def memorisation(self, generated: ImageFeatures, taught: ImageFeatures) -> Measurement | None:
        """How often a generated image is nearer to the training images than a held-out image is to them.

        The reference images have to be held out. 0.5 for a generator that is neither nearer nor farther, 1 for one that
        copies (after Meehan et al. 2020, arXiv 2004.05675).
        """
        for name in (EFFICIENTNET, CLASSIFIER):
            if name in generated.features:
                held_out = metrics.nearest(self._features[name], taught.features[name])
                return Measurement(
                    metrics.smaller(metrics.nearest(generated.features[name], taught.features[name]), held_out)
                )
        return None

    # The diversity as a multiple of that of as many real images; 1 where those are all alike.
    def _relative_diversity(self, images: Tensor) -> float:
        # As many of each: the distance to the nearest neighbour falls with the number of images.
        count = min(len(images), len(self._images))
        real = nearest_neighbour_diversity(self._images[:count])
        return nearest_neighbour_diversity(images[:count]) / real if real > 0 else 1.0


def score_protocols(size: int, extractors: FeatureExtractors) -> dict[str, str]:
    """Return for each score of images of `size` px a text on how it is measured."""
    # Stored with every score and compared literally: a change of a text makes older scores incomparable.
    sides = "/".join(map(str, level_sizes(size)))
    found = {
        SLICED_WASSERSTEIN: (
            f"{PATCHES} patches of {PATCH} px at {sides} px, {DIRECTIONS} directions, x1000, v1; not resized"
        ),
        DIVERSITY: f"mean distance to the nearest of {COUNT} images, of that of real ones, pixels, v1; not resized",
    }
    if extractors.classifier is not None:
        protocol = extractors.classifier.protocol
        found |= {
            CLASSIFIER_FRECHET: protocol,
            BALANCE: f"KL(seen || labels) in nats; {protocol}",
            **_precision_recall_protocols(CLASSIFIER, protocol),
        }
    if extractors.efficientnet is not None:
        protocol = extractors.efficientnet.protocol
        found |= {
            EFFICIENTNET_FRECHET: protocol,
            EFFICIENTNET_KID: f"cubic kernel, blocks of {metrics.KERNEL_BLOCK}; {protocol}",
            **_precision_recall_protocols(EFFICIENTNET, protocol),
        }
    if (judge := extractors.efficientnet or extractors.classifier) is not None:
        text = "share of pairs in which a sample is nearer to training images than a held-out image is, v1"
        found[MEMORISATION] = f"{text}; {judge.protocol}"
    if extractors.inception is not None:
        protocol = extractors.inception.protocol
        found |= {FID: protocol, KID: f"cubic kernel, blocks of {metrics.KERNEL_BLOCK}; {protocol}"}
        found |= _precision_recall_protocols(INCEPTION, protocol)
    return found


def _precision_recall_protocols(name: str, protocol: str) -> dict[str, str]:
    three, five = (
        f"{neighbours} neighbours, at most {metrics.MAX_ROWS} images a side; {protocol}"
        for neighbours in (metrics.NEIGHBOURS, metrics.COVERAGE_NEIGHBOURS)
    )
    return {
        f"{name}_precision": three,
        f"{name}_recall": three,
        f"{name}_density": five,
        f"{name}_coverage": five,
    }
