"""Turns a training's average into versions in the model directory, under the attempt's fencing token."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from models.config import TrainingConfig
from models.manifest import Provenance
from models.publishing import publish
from models.records import Records, RecordsUnavailable
from worker.training.reports import Reporter


def software() -> dict[str, str]:
    """Give the versions that a generator was made with."""
    return {"python": platform.python_version(), "torch": torch.__version__}


@dataclass(frozen=True)
class Publisher:
    """Publishes for one attempt at a run."""

    model_dir: Path
    records: Records
    run: str
    token: int
    config: TrainingConfig
    reporter: Reporter

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish one version; the same position of a run is never published twice.

        Raises:
            Fenced: another attempt owns the run.
            RecordsUnavailable: the database is away, and this was the `last` chance.
        """
        try:
            published = publish(
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
                scores={},
            )
        except RecordsUnavailable as error:
            if last:
                raise
            self.reporter.log(f"nothing is published at {images / 1000:g} kimg: the database is away ({error})")
            return
        self.reporter.published(published.model, published.version, images)

    def _provenance(self, images: int) -> Provenance:
        return Provenance(
            run=self.run,
            preset=self.config.preset,
            dataset=self.config.dataset,
            kimg=images / 1000,
            seed=self.config.seed,
            software=software(),
        )
