"""Schedule of evaluations: how often and by which scores, within 3 % of a run's time.

It is computed at the first start of a run from estimated costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from models.config.resources import operations
from models.config.training import TrainingConfig
from models.scores import EvaluationSchedule
from worker.data.prepared import Prepared
from worker.evaluation import packaged
from worker.evaluation.classifier import is_classifiable
from worker.evaluation.reference import (
    CLASSIFIER_FRECHET,
    EFFICIENTNET_KID,
    EFFICIENTNET_SCORES,
    INCEPTION_SCORES,
    SLICED_WASSERSTEIN,
)
from worker.evaluation.samples import BATCH
from worker.evaluation.sliced_wasserstein import level_sizes

# Number of generated images in an evaluation at a snapshot.
SAMPLES: Final = 2_000
# The same in a second evaluation at the end of a run.
FINAL_SAMPLES: Final = 10_000
# Smallest data set that can be compared with: two images on each side.
MIN_IMAGES: Final = 4
# Share of the training's time for all evaluations. The end of a run is always evaluated, even if it takes more.
SHARE: Final = 0.03
# Training time below which a run trains no classifier.
MIN_CLASSIFIER_SECONDS: Final = 30.0

DeviceType = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class _DeviceSpeed:
    """Speed of one CPU thread or of one GPU.

    CPU figures were measured by `benchmarks.evaluation`, GPU figures are cautious estimates.

    Attributes:
        training: floating-point operations per second in training passes.
        inference: floating-point operations per second of fp32 passes of generators and of Inception.
        launch: least seconds for the passes of one batch.
        value: seconds per pixel value to extract patches.
        image: seconds per image to compute the classifier's features.
        level: seconds to compare one level of patches.
        neighbours: seconds to compute precision and recall of 2,000 images.
        matrices: seconds of one Fréchet distance of Inception's 2,048 features.
        packaged: seconds per image to compute EfficientNet-Lite2's features.
        packaged_comparison: seconds to compare those of two sets.
    """

    training: float
    inference: float
    launch: float
    value: float
    image: float
    level: float
    neighbours: float
    matrices: float
    packaged: float
    packaged_comparison: float


_SPEEDS: Final[dict[tuple[str, str], _DeviceSpeed]] = {
    ("cpu", "fp32"): _DeviceSpeed(6e10, 5e10, 0, 3e-8, 3e-5, 0.05, 0.1, 30, 6e-3, 4),
    ("cpu", "bf16"): _DeviceSpeed(1.2e11, 5e10, 0, 3e-8, 3e-5, 0.05, 0.1, 30, 6e-3, 4),
    ("cuda", "fp32"): _DeviceSpeed(1e13, 2e13, 1e-3, 1e-9, 1e-6, 0.02, 0.05, 3, 1e-4, 0.5),
    ("cuda", "bf16"): _DeviceSpeed(2e13, 2e13, 1e-3, 1e-9, 1e-6, 0.02, 0.05, 3, 1e-4, 0.5),
}
_INCEPTION_OPERATIONS: Final = 1.14e10
_THREAD_SCALING: Final = 0.6  # n threads are n^0.6 times as fast as one


def schedule_evaluations(
    config: TrainingConfig,
    prepared: Prepared,
    device: DeviceType,
    precision: str,
    threads: int,
    has_inception: Callable[[], bool],
) -> EvaluationSchedule:
    """Return the schedule of a run.

    Args:
        precision: of its passes, fp32 or bf16.
        threads: of the CPU.
        has_inception: checks for Inception's weights; called only if one of its scores would be the primary one.
    """
    # Estimated and not measured times: equal runs are evaluated at the same positions on every machine of a kind.
    costs = _CostModel(config, prepared, device, precision, threads if device == "cpu" else 1)
    long_enough = costs.training >= MIN_CLASSIFIER_SECONDS
    classifier = is_classifiable(prepared) and long_enough
    # Its network knows colour photographs.
    efficientnet = config.channels == 3 and long_enough
    # Inception's weights are worth a download only if there is time to use them, which most CPUs do not have.
    measures = _Measures(classifier=classifier, efficientnet=efficientnet, inception=True)
    full = _fill_budget(config, costs, measures)
    if full.publications and full.final and (full.primary not in INCEPTION_SCORES or has_inception()):
        return full
    return _fill_budget(config, costs, measures._replace(inception=False))


def explain_substitution(config: TrainingConfig, schedule: EvaluationSchedule) -> str | None:
    """Return a sentence for the log if the configured score was replaced by another; else None."""
    if config.score in ("auto", schedule.primary):
        return None
    reason = "the data set has no labels for it, or the run is too short"
    if config.score in INCEPTION_SCORES:
        reason = (
            "the weights of its network are missing, or computing its features would take too much of the run's time"
        )
    return f"score={config.score} is not available ({reason}); using {schedule.primary} to select the best snapshot"


# Which networks' features are compared.
class _Measures(NamedTuple):
    classifier: bool
    efficientnet: bool
    inception: bool


def _fill_budget(config: TrainingConfig, costs: _CostModel, measures: _Measures) -> EvaluationSchedule:
    # The end is always evaluated; the second extraction is that of the real images.
    once = costs.evaluation(SAMPLES, measures)
    spent = once + costs.extraction(SAMPLES, measures)
    left = SHARE * costs.training - spent
    # Publications before the end: all of them or none, so that every version of a run has a score or none has.
    between = math.ceil(1 / config.publish_every) - 1
    publications = left >= between * once
    if publications:
        left, spent = left - between * once, spent + between * once
    ending = costs.evaluation(FINAL_SAMPLES, measures)
    ending += costs.extraction(FINAL_SAMPLES, measures)
    final = publications and left >= ending
    if final:
        left, spent = left - ending, spent + ending
    # The remaining time goes to snapshots, evenly spaced.
    affordable = int(left / once) if publications and left > 0 else 0
    every = math.ceil(config.snapshots / affordable) if affordable > 1 else 0
    spent += once * (config.snapshots // every) if every else 0
    return EvaluationSchedule(
        every=every,
        publications=publications,
        final=final,
        classifier=measures.classifier,
        inception=measures.inception,
        efficientnet=measures.efficientnet,
        primary=_primary_score(config, measures),
        share=round(spent / costs.training, 4),
    )


def _primary_score(config: TrainingConfig, measures: _Measures) -> str:
    if config.score in INCEPTION_SCORES and measures.inception:
        return config.score
    packaged = config.score if config.score in EFFICIENTNET_SCORES else EFFICIENTNET_KID
    if measures.efficientnet and config.score in ("auto", packaged):
        return packaged
    if config.score != SLICED_WASSERSTEIN and measures.classifier:
        return CLASSIFIER_FRECHET
    return SLICED_WASSERSTEIN


# A model of the seconds that a run's training and evaluations take.
class _CostModel:
    def __init__(
        self, config: TrainingConfig, prepared: Prepared, device: DeviceType, precision: str, threads: int
    ) -> None:
        self._speed = _SPEEDS[device, precision]
        self._scaling = math.pow(threads, _THREAD_SCALING)
        self._values = config.shape.values
        self._levels = len(level_sizes(config.size))
        self._generator = 2.0 * config.generator_config().work().products
        steps = config.total_images(prepared.count) / config.batch_size
        step = operations(config) * config.batch_size / (self._speed.training * self._scaling)
        self.training = steps * max(step, self._speed.launch)

    def extraction(self, images: int, measures: _Measures) -> float:
        """Seconds to extract the features of so many images."""
        each = self._values * self._speed.value
        if measures.classifier:
            each += self._speed.image
        compared = min(images, packaged.IMAGES) if measures.efficientnet else 0
        if measures.inception:
            each += _INCEPTION_OPERATIONS / (self._speed.inference * self._scaling)
        return images * (each + self._speed.launch / BATCH) + compared * self._speed.packaged / self._scaling

    def evaluation(self, samples: int, measures: _Measures) -> float:
        """Seconds to generate so many samples, to extract their features and to compare them."""
        generation = samples * (self._generator / (self._speed.inference * self._scaling) + self._speed.launch / BATCH)
        comparison = self._levels * self._speed.level
        if measures.classifier:
            comparison += self._speed.neighbours
        if measures.efficientnet:
            comparison += self._speed.packaged_comparison
        if measures.inception:
            comparison += self._speed.matrices + self._speed.neighbours
        return generation + comparison + self.extraction(samples, measures)
