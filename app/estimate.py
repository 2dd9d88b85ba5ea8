"""What a training will take, by arithmetic on its configuration and by what earlier runs took here."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, Field

from app.house import House
from app.runs import image_count, total_images
from models import artefacts
from models.config import TrainingConfig
from models.costs import memory_bytes, operations
from models.records import Run

LOOKED_AT = 50
"""The newest runs: older ones were of other times."""


class Estimate(BaseModel):
    """Null means not known before the run has started."""

    generator_parameters: int
    discriminator_parameters: int
    images: int | None = Field(description="real images that the discriminator will be shown")
    batches: int | None = Field(description="of them, in the discriminator's steps")
    operations_per_image: float = Field(description="floating-point operations, by arithmetic")
    memory_bytes: int | None = Field(
        description="weights, gradients, optimisers, average, data set and activations; what libraries take is on top"
    )
    memory_source: str | None = Field(examples=["by arithmetic"])
    images_per_second: float | None
    seconds: float | None
    time_source: str | None = Field(examples=["the last run of this preset here"])


class _Pace(NamedTuple):
    images_per_second: float
    source: str


def estimate(house: House, config: TrainingConfig, preset: str) -> Estimate:
    """Estimate a training; reads rows and files, so call it from a thread.

    Args:
        house: where earlier runs are.
        config: of the training.
        preset: the one behind it, which is not "auto".
    """
    count = image_count(house, config.dataset, {})
    images = total_images(config, count)
    pace = _pace(house, config, preset)
    return Estimate(
        generator_parameters=config.generator_config().parameters(),
        discriminator_parameters=config.discriminator_config().parameters(),
        images=images,
        batches=None if images is None else images // config.batch_size,
        operations_per_image=operations(config),
        memory_bytes=None if count is None else memory_bytes(config, count),
        memory_source=None if count is None else "by arithmetic",
        images_per_second=pace.images_per_second if pace else None,
        seconds=images / pace.images_per_second if images and pace else None,
        time_source=pace.source if pace else None,
    )


def _pace(house: House, config: TrainingConfig, preset: str) -> _Pace | None:
    """Take the last run of the same preset, else of any; what it did in a second, in this training's images."""
    runs, _ = house.records.list_runs(limit=LOOKED_AT)
    for run in sorted(runs, key=lambda run: _preset_of(run) != preset):
        speed = (artefacts.last_tick(house.settings.runs_dir / run.id) or {}).get("images_per_second")
        if speed:
            other = TrainingConfig.model_validate(run.config)
            same = _preset_of(run) == preset
            source = "this preset" if same else f"{_preset_of(run)}, by operations per image"
            return _Pace(float(speed) * operations(other) / operations(config), f"the last run here of {source}")
    return None


def _preset_of(run: Run) -> str:
    return str(run.resolved.get("preset", run.preset))
