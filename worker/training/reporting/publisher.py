"""Turns a training's average into versions in the model directory, under the attempt's fencing token."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from models.artifacts.history import Snapshot, list_snapshots
from models.config.training import TrainingConfig
from models.records import Records, RecordsUnavailable
from models.scores import best_evaluation
from models.store.card import Pairs
from models.store.manifest import WEIGHTS, Provenance
from models.store.publishing import Published, publish
from models.store.weights import load_generator
from worker.data.prepared import Prepared
from worker.evaluation import neighbours
from worker.training.reporting.reporter import Reporter


def software() -> dict[str, str]:
    """Give the versions that a generator was made with."""
    return {"python": platform.python_version(), "torch": torch.__version__}


@dataclass(frozen=True)
class Publisher:
    """Publishes for one attempt at a run: where it is, and before that the best of its snapshots so far.

    `preset` is the one behind `auto`.
    """

    model_dir: Path
    run_dir: Path
    prepared: Prepared
    records: Records
    run: str
    token: int
    config: TrainingConfig
    preset: str
    reporter: Reporter

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish one version with its scores, and the best snapshot if no version is one yet.

        The same position of a run is never published twice; the newest one comes last, so that it is `latest`.

        Raises:
            ClaimLost: another attempt owns the run.
            RecordsUnavailable: the database is away, and this was the `last` chance.
        """
        try:
            found = {snapshot.images: snapshot for snapshot in list_snapshots(self.run_dir)}
            best = self._best(found)
            if best is not None and best.images != images and best.weights is not None:
                earlier = self._publish(best.images, best, best.weights.read_bytes(), best.picture.read_bytes())
                if not earlier.already:
                    self.reporter.published(earlier.model, earlier.version, best.images)
            published = self._publish(images, found.get(images), weights, preview)
        except RecordsUnavailable as error:
            if last:
                raise
            self.reporter.log(f"nothing is published at {images / 1000:g} kimg: the database is away ({error})")
            return
        if published.already and not self._is_of(published, weights):
            self.reporter.log(
                f"nothing is published at {images / 1000:g} kimg: {published.ref} is of the same position, from before "
                "the run was taken back"
            )
            return
        self.reporter.published(published.model, published.version, images)

    def _is_of(self, published: Published, weights: bytes) -> bool:
        """Tell whether a version holds these weights, or held them before it was deleted."""
        path = self.model_dir / published.model / str(published.version) / WEIGHTS
        return not path.exists() or path.read_bytes() == weights

    def _best(self, found: Mapping[int, Snapshot]) -> Snapshot | None:
        evaluations = (snapshot.evaluation() for snapshot in found.values())
        best = best_evaluation(evaluation for evaluation in evaluations if evaluation is not None)
        return None if best is None else found[best.images]

    def _publish(self, images: int, snapshot: Snapshot | None, weights: bytes, preview: bytes) -> Published:
        # Without a snapshot: a run that was resumed beyond its target stops at once, wherever it is.
        evaluation = None if snapshot is None else snapshot.evaluation()
        return publish(
            self.model_dir,
            self.records,
            run=self.run,
            token=self.token,
            images=images,
            model=self.config.model,
            weights=weights,
            preview=preview,
            generator=self.config.generator_config(),
            classes=self.config.classes,
            provenance=self._provenance(images),
            scores={} if evaluation is None else evaluation.scores,
            training=self.config,
            pairs=partial(self._pairs, weights),
        )

    def _pairs(self, weights: bytes) -> Pairs:
        """Show the first samples beside the data."""
        generator = self.config.generator_config()
        shown = neighbours.generate_samples(load_generator(weights, generator), generator, self.config.seed)
        return neighbours.neighbour_pairs(shown, self.prepared)

    def _provenance(self, images: int) -> Provenance:
        return Provenance(
            run=self.run,
            preset=self.preset,
            dataset=self.config.dataset,
            kimg=images / 1000,
            seed=self.config.seed,
            software=software(),
        )
