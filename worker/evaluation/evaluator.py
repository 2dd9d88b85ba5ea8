"""Evaluation of a generator against its data: scores, the images that they compare, and their protocols."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from models.config.training import TrainingConfig
from models.scores import MEMORISATION, Evaluation, EvaluationSchedule, Score
from worker.data.held_out import Sides, split
from worker.data.prepared import IMAGES, Prepared
from worker.evaluation import inception
from worker.evaluation.cache import load_or_measure_baselines
from worker.evaluation.classifier import load_or_train_classifier
from worker.evaluation.features import FeatureExtractors, ImageFeatures, extract_features
from worker.evaluation.inception import Inception, InceptionUnavailable
from worker.evaluation.metrics import class_shares
from worker.evaluation.packaged import PackagedFeatures
from worker.evaluation.reference import (
    INCEPTION_SCORES,
    Measurement,
    ReferenceStatistics,
    score_protocols,
)
from worker.evaluation.samples import (
    SEED,
    SPLIT_VERSION,
    GeneratorSampler,
    Indices,
    Split,
    conditioning_labels,
    permutation,
    real_batches,
    split_images,
)
from worker.evaluation.schedule import FINAL_SAMPLES, SAMPLES

_MAX_REPORTED_CLASSES: Final = 100
# Training images among which the nearest one of each sample is looked for.
MOST_TAUGHT: Final = 5_000
_HIGHER_IS_BETTER: Final = ("diversity", "_precision", "_recall", "_density", "_coverage")


class Evaluator:
    """Evaluates the averaged generator of one run.

    Args:
        schedule: which scores, and how often.
        folder: of classifiers, weights and baselines.
        log: receives sentences for the log of the run.
        download: whether missing weights of Inception are downloaded.
        held_out: how many images are kept from the training; 0: samples are compared with images that taught.
    """

    def __init__(
        self,
        config: TrainingConfig,
        prepared: Prepared,
        device: torch.device,
        schedule: EvaluationSchedule,
        folder: Path,
        log: Callable[[str], None],
        *,
        download: bool = False,
        held_out: int = 0,
    ) -> None:
        self.schedule = schedule
        self._config = config
        self._prepared = prepared
        self._device = device
        self._folder = folder
        self._log = log
        self._sides = split(prepared, held_out)
        # In the background, because only the first evaluation needs it.
        missing = schedule.inception and inception.find_weights(folder) is None
        self._download = inception.WeightsDownload(folder) if missing and download else None

    def __call__(self, generator: nn.Module, images: int, *, final: bool) -> Evaluation | None:
        """Evaluate a generator in evaluation mode; return None if the primary score is not available.

        Args:
            images: the position in the run.
            final: whether this is the end of the run.
        """
        primary = self.schedule.primary
        # Scores of another kind would compare snapshots by something else than was configured.
        if self._extractors.inception is None and primary in INCEPTION_SCORES:
            self._log(
                f"not scored at {images / 1000:g} kimg: {primary} selects the best snapshot, and is not available"
            )
            return None
        found = self._at_snapshots.extract(generator)
        scores = self._scores(self._at_snapshots, found)
        if final and self.schedule.final:
            at_end = self._comparison(FINAL_SAMPLES)
            more = self._scores(at_end, at_end.extract(generator))
            scores |= {f"{name}_final": score for name, score in more.items()}
        return Evaluation(
            images=images, primary=primary, scores={primary: scores[primary]} | scores, **self._shares(found)
        )

    @cached_property
    def _extractors(self) -> FeatureExtractors:
        # Built at the first evaluation: training the classifier takes seconds, loading Inception as well.
        return FeatureExtractors(
            load_or_train_classifier(self._prepared, self._folder, self._device, self._log)
            if self.schedule.classifier
            else None,
            self._load_inception() if self.schedule.inception else None,
            PackagedFeatures(self._device) if self.schedule.efficientnet else None,
        )

    def _load_inception(self) -> Inception | None:
        try:
            weights = inception.find_weights(self._folder)
            if weights is None and self._download is not None:
                # Only a run that cannot be scored without it waits for the download.
                weights = self._download.result(wait=self.schedule.primary in INCEPTION_SCORES)
            if weights is None:
                raise InceptionUnavailable(
                    f"no FID, KID, precision or recall: {inception.FILE} is not in {self._folder}"
                )
            return inception.load_inception(weights, self._device)
        except InceptionUnavailable as error:
            self._log(str(error))
            return None

    @cached_property
    def _at_snapshots(self) -> _Comparison:
        return self._comparison(SAMPLES)

    def _comparison(self, samples: int) -> _Comparison:
        return _Comparison(self._config, self._prepared, self._sides, self._device, samples, self._extractors)

    def _scores(self, comparison: _Comparison, found: ImageFeatures) -> dict[str, Score]:
        values = comparison.compare(found)
        texts = score_protocols(self._config.size, self._extractors)
        protocols = {name: f"{texts[name]}; {comparison.protocol}" for name in values}
        baselines = load_or_measure_baselines(self._folder, protocols, comparison.measure_baselines)
        return {
            name: Score(
                value=measured.value,
                deviation=measured.deviation,
                baseline=baselines[name],
                lower_is_better=not name.endswith(_HIGHER_IS_BETTER),
                protocol=protocols[name],
            )
            for name, measured in values.items()
        }

    def _shares(self, found: ImageFeatures) -> dict[str, dict[str, float]]:
        classes = self._prepared.classes
        expected = self._at_snapshots.expected
        if found.labels is None or expected is None or len(classes) > _MAX_REPORTED_CLASSES:
            return {}
        shares = class_shares(found.labels, len(classes))
        return {
            "shares": dict(zip(classes, shares.tolist(), strict=True)),
            "expected": dict(zip(classes, expected.tolist(), strict=True)),
        }


# One comparison of a number of samples with the data: the sampler and the reference statistics.
class _Comparison:
    def __init__(
        self,
        config: TrainingConfig,
        prepared: Prepared,
        sides: Sides,
        device: torch.device,
        samples: int,
        extractors: FeatureExtractors,
    ) -> None:
        self._prepared = prepared
        self._sides = sides
        self._device = device
        self._extractors = extractors
        self._split = split_images(prepared.count, samples)
        if self._held_out:
            taught = sides.taught[permutation(len(sides.taught))]
            held_out = sides.held_out[:samples]
            # As many training images as there are samples, so that the baseline is biased like the scores.
            self._split = Split(held_out, (held_out, taught[:samples]))
        labels = conditioning_labels(prepared, samples) if config.conditional else None
        self._sampler = GeneratorSampler(config.generator_config(), samples, device, labels)
        self.reference = ReferenceStatistics(self._extract_real(self._split.reference), self.expected)

    @property
    def protocol(self) -> str:
        """The images that are compared, in words; stored with every score and compared literally."""
        data = self._prepared.manifest
        left, right = self._split.baseline
        if self._held_out:
            return (
                f"{self._sampler.count} samples of seed {SEED} against {self.reference.count} of the "
                f"{self._held_out} images that were never trained on ({data.dataset}, {data.sha256[IMAGES][:12]}), "
                f"chosen by digest v1; floor: {len(right)} training images against those"
            )
        return (
            f"{self._sampler.count} samples of seed {SEED} against {self.reference.count} of {data.count} images that "
            f"were trained on ({data.dataset}, {data.sha256[IMAGES][:12]}), chosen v{SPLIT_VERSION}; floor: "
            f"{len(right)} against {len(left)} others"
        )

    @property
    def _held_out(self) -> int:
        return len(self._sides.held_out)

    def compare(self, found: ImageFeatures) -> dict[str, Measurement]:
        """Return the scores of generated images by name."""
        scores = self.reference.compare(found)
        memorisation = self.reference.memorisation(found, self._taught) if self._held_out else None
        return scores if memorisation is None else {**scores, MEMORISATION: memorisation}

    # Some of the training images; near copies of others are not seen.
    @cached_property
    def _taught(self) -> ImageFeatures:
        chosen = self._sides.taught[permutation(len(self._sides.taught))[:MOST_TAUGHT]]
        return self._extract_real(chosen, MOST_TAUGHT)

    @cached_property
    def expected(self) -> Tensor | None:
        """The share of each class among the labels of the data, float64 `[classes]`; None without a classifier."""
        if self._extractors.classifier is None or self._prepared.labels is None:
            return None
        labels = torch.from_numpy(self._prepared.labels).to(self._device)
        return class_shares(labels, len(self._prepared.classes))

    def measure_baselines(self) -> dict[str, float]:
        left, right = self._split.baseline
        # Real images against other real images: the score of a perfect generator.
        is_reference = len(left) == self.reference.count
        reference = self.reference if is_reference else ReferenceStatistics(self._extract_real(left), self.expected)
        found = reference.compare(self._extract_real(right))
        # Of an ideal generator.
        baselines = {MEMORISATION: 0.5}
        return baselines | {name: measured.value for name, measured in found.items()}

    def extract(self, generator: nn.Module) -> ImageFeatures:
        return extract_features(self._sampler.generate(generator), self._sampler.count, self._extractors)

    def _extract_real(self, indices: Indices, packaged: int | None = None) -> ImageFeatures:
        batches = real_batches(self._prepared, indices, self._device)
        return extract_features(batches, len(indices), self._extractors, packaged)


def create_evaluator(
    config: TrainingConfig,
    prepared: Prepared,
    device: torch.device,
    schedule: EvaluationSchedule | None,
    folder: Path,
    log: Callable[[str], None],
    *,
    download: bool,
    held_out: int = 0,
) -> Evaluator | None:
    """Create the evaluator of a run; None without a schedule."""
    if schedule is None:
        log(f"nothing is scored: {prepared.count} images are too few to compare with")
        return None
    return Evaluator(config, prepared, device, schedule, folder, log, download=download, held_out=held_out)
