"""Publications of a training: its averaged weights as versions, under the attempt's fencing token."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from models.artifacts.history import Snapshot, list_snapshots
from models.config.networks import GeneratorConfig
from models.records import Records, RecordsUnavailable
from models.scores import best_evaluation
from models.store.base import ModelStore
from models.store.card import Pairs
from models.store.publishing import Published, TrainedRun, publish
from models.store.weights import load_generator
from worker.data.prepared import Prepared
from worker.evaluation import neighbours
from worker.training.reporting.reporter import Reporter


def software() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__}


@dataclass(frozen=True)
class Publisher:
    store: ModelStore
    records: Records
    run: TrainedRun
    run_dir: Path
    prepared: Prepared
    reporter: Reporter

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish a version with its scores, and before it the best snapshot if no version has its position yet.

        Raises:
            ClaimLost: another attempt owns the run.
            RecordsUnavailable: the database is unavailable at the `last` publication.
        """
        try:
            found = {snapshot.images: snapshot for snapshot in list_snapshots(self.run_dir)}
            best = _best(found)
            # The best first, so that the newest position becomes `latest`. A position is never published twice.
            if best is not None and best.images != images and best.weights is not None:
                earlier = self._publish(best.images, best, best.weights.read_bytes(), best.picture.read_bytes())
                if not earlier.already:
                    self.reporter.published(earlier.model, earlier.version, best.images)
            # There may be no snapshot here: a run that was resumed beyond its length stops at once, wherever it is.
            published = self._publish(images, found.get(images), weights, preview)
        except RecordsUnavailable as error:
            # Any other publication is made up for by the next one.
            if last:
                raise
            self.reporter.log(f"nothing is published at {images / 1000:g} kimg: the database is away ({error})")
            return
        if published.replaced:
            self.reporter.log(
                f"nothing is published at {images / 1000:g} kimg: {published.ref} is of the same position, from before "
                "the run was taken back"
            )
            return
        self.reporter.published(published.model, published.version, images)

    def _publish(self, images: int, snapshot: Snapshot | None, weights: bytes, preview: bytes) -> Published:
        evaluation = None if snapshot is None else snapshot.evaluation()
        draft = self.run.draft(images, weights, preview, evaluation)
        name, config = next(iter(self.run.generators.items()))
        # Computed only if the version is really written: it searches the whole data set.
        pairs = partial(self._pairs, draft.weights[name], config)
        return publish(self.store, self.records, replace(draft, pairs=pairs))

    def _pairs(self, weights: bytes, config: GeneratorConfig) -> Pairs:
        # The first samples, each beside the most similar image of the data set.
        images = neighbours.generate_samples(load_generator(weights, config), config, self.run.config.seed)
        return neighbours.neighbour_pairs(images, self.prepared)


def _best(found: Mapping[int, Snapshot]) -> Snapshot | None:
    evaluations = (snapshot.evaluation() for snapshot in found.values())
    best = best_evaluation(evaluation for evaluation in evaluations if evaluation is not None)
    return None if best is None else found[best.images]
