"""When a run is evaluated, and by what: decided at its first start by arithmetic, so that it takes 3 % of its time.

No stopwatch decides: runs of one configuration, data set, kind of device and number of threads are evaluated at the
same positions. The end is always judged, whatever its share is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from models.config.resources import operations
from models.config.training import TrainingConfig
from models.config.values import Frozen
from worker.data.prepared import Prepared
from worker.evaluation import classifier
from worker.evaluation.reference import OF_INCEPTION
from worker.evaluation.samples import BATCH
from worker.evaluation.sliced import sizes

SAMPLES: Final = 2_000
"""At snapshots."""
FINAL_SAMPLES: Final = 10_000
"""At a run's end, beside the others."""
MIN_IMAGES: Final = 4
"""Of a data set whose generators can be evaluated: two on each side."""
SHARE: Final = 0.03
"""Of the run's time, for all evaluations together; the one at its end takes place whatever its share is."""
WORTH_A_CLASSIFIER: Final = 30.0
"""Seconds of training from which a classifier, once for each data set, is not out of proportion."""

DeviceType = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class _Speed:
    """What one thread of a CPU, or a GPU, does in a second, or how long it takes.

    Those of a CPU were measured (`benchmarks.evaluation`), those of a GPU are estimates, on the safe side.

    Attributes:
        training: floating-point operations a second in a training's passes.
        looking: the same in fp32 in a generator's passes and Inception's.
        launch: seconds that the passes of a batch take at least.
        value: seconds to cut the value of a pixel into patches.
        image: seconds to take an image's features from the classifier.
        level: seconds to compare a level of patches.
        neighbours: seconds to compare the features of 2,000 images with each other.
        matrices: seconds for a Fréchet distance of Inception's 2,048 features.
    """

    training: float
    looking: float
    launch: float
    value: float
    image: float
    level: float
    neighbours: float
    matrices: float


_SPEEDS: Final[dict[tuple[str, str], _Speed]] = {
    ("cpu", "fp32"): _Speed(6e10, 5e10, 0, 3e-8, 3e-5, 0.05, 0.1, 30),
    ("cpu", "bf16"): _Speed(1.2e11, 5e10, 0, 3e-8, 3e-5, 0.05, 0.1, 30),
    ("cuda", "fp32"): _Speed(1e13, 2e13, 1e-3, 1e-9, 1e-6, 0.02, 0.05, 3),
    ("cuda", "bf16"): _Speed(2e13, 2e13, 1e-3, 1e-9, 1e-6, 0.02, 0.05, 3),
}
_INCEPTION_OPERATIONS: Final = 1.14e10
_THREADS: Final = 0.6  # the power of their number by which threads speed a CPU up


class Plan(Frozen):
    """What a run's evaluations are, for good.

    Attributes:
        every: snapshots from one evaluation to the next; 0: only where something is published, and at the end.
        publications: whether what is published before the end is evaluated first.
        final: whether the end is also judged by 10,000 samples.
        classifier: whether a classifier trained on the data takes part.
        inception: whether Inception's features take part.
        chosen: the name of the score that decides which snapshot is the best.
        share: of the training's time that all this is expected to take.
    """

    every: int
    publications: bool
    final: bool
    classifier: bool
    inception: bool
    chosen: str
    share: float


def plan(
    config: TrainingConfig,
    prepared: Prepared,
    device: DeviceType,
    precision: str,
    threads: int,
    has_inception: Callable[[], bool],
) -> Plan:
    """Decide on a run's evaluations.

    Args:
        config: the run's.
        prepared: its data.
        device: the kind that it trains on.
        precision: of its passes, fp32 or bf16.
        threads: of the CPU.
        has_inception: tells whether Inception's weights are there; asked where its score would decide.
    """
    costs = _Costs(config, prepared, device, precision, threads if device == "cpu" else 1)
    classified = classifier.suits(prepared) and costs.training >= WORTH_A_CLASSIFIER
    # Inception's weights are only worth fetching where there is time to use them, which there is not on most CPUs.
    everything = _arranged(config, costs, classified=classified, inception=True)
    if everything.publications and everything.final and (everything.chosen not in OF_INCEPTION or has_inception()):
        return everything
    return _arranged(config, costs, classified=classified, inception=False)


def replaced(config: TrainingConfig, plan: Plan) -> str | None:
    """Say that another score decides than the one that was asked for; None where there is nothing to say."""
    if config.score in ("auto", plan.chosen):
        return None
    why = "the data set has no labels for it, or the run is too short"
    if config.score in OF_INCEPTION:
        why = "its network's weights are missing, or looking through them would take too much of this run's time"
    return f"the score {config.score} was asked for and cannot be had ({why}): {plan.chosen} decides in its place"


def _arranged(config: TrainingConfig, costs: _Costs, *, classified: bool, inception: bool) -> Plan:
    """Spend the time on the end, on publications, on the end's larger evaluation, and the rest on snapshots."""
    once = costs.evaluation(SAMPLES, classified=classified, inception=inception)
    spent = once + costs.pass_(SAMPLES, classified=classified, inception=inception)
    left = SHARE * costs.training - spent
    between = math.ceil(1 / config.publish_every) - 1
    publications = left >= between * once
    if publications:
        left, spent = left - between * once, spent + between * once
    ending = costs.evaluation(FINAL_SAMPLES, classified=classified, inception=inception)
    ending += costs.pass_(FINAL_SAMPLES, classified=classified, inception=inception)
    final = publications and left >= ending
    if final:
        left, spent = left - ending, spent + ending
    affordable = int(left / once) if publications and left > 0 else 0
    every = math.ceil(config.snapshots / affordable) if affordable > 1 else 0
    spent += once * (config.snapshots // every) if every else 0
    return Plan(
        every=every,
        publications=publications,
        final=final,
        classifier=classified,
        inception=inception,
        chosen=_chosen(config, classified=classified, inception=inception),
        share=round(spent / costs.training, 4),
    )


def _chosen(config: TrainingConfig, *, classified: bool, inception: bool) -> str:
    """Name the configuration's score where it is measured, else the best that is."""
    if config.score in OF_INCEPTION and inception:
        return config.score
    if config.score != "sliced_wasserstein" and classified:
        return "classifier_frechet"
    return "sliced_wasserstein"


class _Costs:
    """Seconds, by arithmetic."""

    def __init__(
        self, config: TrainingConfig, prepared: Prepared, device: DeviceType, precision: str, threads: int
    ) -> None:
        self._speed = _SPEEDS[device, precision]
        self._faster = math.pow(threads, _THREADS)
        self._values = config.size**2 * config.channels
        self._levels = len(sizes(config.size))
        self._generator = 2.0 * config.generator_config().work().products
        rounds = config.total_images(prepared.count) / config.batch_size
        step = operations(config) * config.batch_size / (self._speed.training * self._faster)
        self.training = rounds * max(step, self._speed.launch)

    def pass_(self, samples: int, *, classified: bool, inception: bool) -> float:
        """Look at so many real images."""
        each = self._values * self._speed.value
        if classified:
            each += self._speed.image
        if inception:
            each += _INCEPTION_OPERATIONS / (self._speed.looking * self._faster)
        return samples * (each + self._speed.launch / BATCH)

    def evaluation(self, samples: int, *, classified: bool, inception: bool) -> float:
        """Paint and look at so many samples, and compare them."""
        painting = samples * (self._generator / (self._speed.looking * self._faster) + self._speed.launch / BATCH)
        comparing = self._levels * self._speed.level
        if classified:
            comparing += self._speed.neighbours
        if inception:
            comparing += self._speed.matrices + self._speed.neighbours
        return painting + comparing + self.pass_(samples, classified=classified, inception=inception)
