"""Evaluates a generator against its data: what is measured, on which images, under which protocol.

When that happens is decided by `Plan`; the measures are in modules of their own. An evaluation draws no random number
that a training would miss, and changes nothing but its own caches.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from models.config.training import TrainingConfig
from models.scores import Evaluation, Score
from worker.data.prepared import IMAGES, Prepared
from worker.evaluation import balance, baselines, classifier, inception, reference
from worker.evaluation.inception import Inception, NoInception
from worker.evaluation.reference import Collected, FeatureExtractor, Reference, collect
from worker.evaluation.samples import CHOICE, SEED, GeneratorSampler, Indices, conditions, real, split
from worker.evaluation.schedule import FINAL_SAMPLES, SAMPLES, Plan

_TOLD_CLASSES: Final = 100  # shares of more classes are not told one by one
_HIGHER_IS_BETTER: Final = ("diversity", "_precision", "_recall", "_density", "_coverage")


class Evaluator:
    """Judges the averaged generator of one run.

    Args:
        config: the run's.
        prepared: its data.
        device: where the generator lives.
        plan: what to measure.
        folder: where classifiers and weights are kept.
        log: told what happens once.
        fetch: whether Inception's weights are downloaded where they are missing.
    """

    def __init__(
        self,
        config: TrainingConfig,
        prepared: Prepared,
        device: torch.device,
        plan: Plan,
        folder: Path,
        log: Callable[[str], None],
        *,
        fetch: bool = False,
    ) -> None:
        self.plan = plan
        self._config = config
        self._prepared = prepared
        self._device = device
        self._folder = folder
        self._log = log
        wanting = plan.inception and inception.find_weights(folder) is None
        self._fetch = inception.Fetch(folder) if wanting and fetch else None

    def __call__(self, generator: nn.Module, images: int, *, final: bool) -> Evaluation | None:
        """Evaluate a generator in evaluation mode; None where the score that decides cannot be measured now.

        Args:
            generator: on the training's device.
            images: the position in the run.
            final: it is the run's last one.
        """
        if self._eyes.inception is None and self.plan.chosen in reference.OF_INCEPTION:
            self._log(f"not scored at {images / 1000:g} kimg: {self.plan.chosen} decides in this run, and is not there")
            return None
        found = self._snapshots.look(generator)
        scores = self._scores(self._snapshots, found)
        if final and self.plan.final:
            ending = _Yardstick(self._config, self._prepared, self._device, FINAL_SAMPLES, self._eyes)
            more = self._scores(ending, ending.look(generator))
            scores |= {f"{name}_final": score for name, score in more.items()}
        chosen = self.plan.chosen
        first = {chosen: scores[chosen]}
        return Evaluation(images=images, primary=chosen, scores=first | scores, **self._shares(found))

    @cached_property
    def _eyes(self) -> FeatureExtractor:
        """Get the networks that look, when they are needed first."""
        trained = (
            classifier.obtain(self._prepared, self._folder, self._device, self._log) if self.plan.classifier else None
        )
        return FeatureExtractor(trained, self._inception() if self.plan.inception else None)

    def _inception(self) -> Inception | None:
        try:
            weights = inception.find_weights(self._folder)
            if weights is None and self._fetch is not None:
                weights = self._fetch.result(patient=self.plan.chosen in reference.OF_INCEPTION)
            if weights is None:
                raise NoInception(f"no FID, KID, precision or recall: {inception.FILE} is not in {self._folder}")
            return inception.open_inception(weights, self._device)
        except NoInception as error:
            self._log(str(error))
            return None

    @cached_property
    def _snapshots(self) -> _Yardstick:
        return _Yardstick(self._config, self._prepared, self._device, SAMPLES, self._eyes)

    def _scores(self, yardstick: _Yardstick, found: Collected) -> dict[str, Score]:
        values = yardstick.reference.compare(found)
        methods = reference.methods(self._config.size, self._eyes)
        protocols = {name: f"{methods[name]}; {yardstick.protocol}" for name in values}
        floor = baselines.obtain(self._folder, protocols, yardstick.floors)
        return {
            name: Score(
                value=measured.value,
                deviation=measured.deviation,
                baseline=floor[name],
                lower_is_better=not name.endswith(_HIGHER_IS_BETTER),
                protocol=protocols[name],
            )
            for name, measured in values.items()
        }

    def _shares(self, found: Collected) -> dict[str, dict[str, float]]:
        classes = self._prepared.classes
        expected = self._snapshots.expected
        if found.labels is None or expected is None or len(classes) > _TOLD_CLASSES:
            return {}
        seen = balance.shares(found.labels, len(classes))
        return {
            "shares": dict(zip(classes, seen.tolist(), strict=True)),
            "expected": dict(zip(classes, expected.tolist(), strict=True)),
        }


class _Yardstick:
    """The data, as so many samples are compared with it."""

    def __init__(
        self, config: TrainingConfig, prepared: Prepared, device: torch.device, samples: int, eyes: FeatureExtractor
    ) -> None:
        self._prepared = prepared
        self._device = device
        self._eyes = eyes
        self._split = split(prepared.count, samples)
        labels = conditions(prepared, samples) if config.conditional else None
        self._sampler = GeneratorSampler(config.generator_config(), samples, device, labels)
        self.reference = Reference(self._collect(self._split.reference), self.expected)

    @property
    def protocol(self) -> str:
        """Say what is compared with what."""
        data = self._prepared.manifest
        left, right = self._split.baseline
        return (
            f"{self._sampler.count} samples of seed {SEED} against {self.reference.count} of {data.count} images that "
            f"were trained on ({data.dataset}, {data.sha256[IMAGES][:12]}), chosen v{CHOICE}; floor: {len(right)} "
            f"against {len(left)} others"
        )

    @cached_property
    def expected(self) -> Tensor | None:
        """The share of each class among the data's labels; None without a classifier."""
        if self._eyes.classifier is None or self._prepared.labels is None:
            return None
        labels = torch.from_numpy(self._prepared.labels).to(self._device)
        return balance.shares(labels, len(self._prepared.classes))

    def floors(self) -> dict[str, float]:
        """Compare real images with real ones."""
        left, right = self._split.baseline
        whole = len(left) == self.reference.count
        reference = self.reference if whole else Reference(self._collect(left), self.expected)
        found = reference.compare(self._collect(right))
        return {name: measured.value for name, measured in found.items()}

    def look(self, generator: nn.Module) -> Collected:
        """Look at a generator's samples."""
        return collect(self._sampler.draw(generator), self._sampler.count, self._eyes)

    def _collect(self, indices: Indices) -> Collected:
        return collect(real(self._prepared, indices, self._device), len(indices), self._eyes)


def evaluator(
    config: TrainingConfig,
    prepared: Prepared,
    device: torch.device,
    plan: Plan | None,
    folder: Path,
    log: Callable[[str], None],
    *,
    fetch: bool,
) -> Evaluator | None:
    """Make what evaluates a run by its plan; without one it says so and gives None."""
    if plan is None:
        log(f"nothing is scored: {prepared.count} images are too few to compare with")
        return None
    return Evaluator(config, prepared, device, plan, folder, log, fetch=fetch)
