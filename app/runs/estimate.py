"""Estimates of a training's size, memory and time, from arithmetic and from the speed of earlier runs here."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, Field

from app.runs.planning import TrainingPlan
from app.runs.views import configuration
from app.state import AppState
from models.artifacts.history import last_tick
from models.config.resources import memory_bytes, operations
from models.config.training import TrainingConfig
from models.records import Run

# Newest runs whose speed counts.
RECENT_RUNS = 50


class Estimate(BaseModel):
    """Estimate of a training; null: not known before the run has started."""

    generator_parameters: int
    discriminator_parameters: int
    images: int = Field(description="real images that the discriminator will be shown; a folder's files all count")
    batches: int = Field(description="of them, in the discriminator's steps")
    operations_per_image: float = Field(description="floating-point operations, by arithmetic")
    memory_bytes: int = Field(
        description="weights, gradients, optimisers, average, data set and activations; what libraries take is on top"
    )
    memory_source: str = Field(examples=["by arithmetic"])
    images_per_second: float | None
    seconds: float | None
    time_source: str | None = Field(examples=["the last run of this preset here"])


class _Speed(NamedTuple):
    images_per_second: float
    source: str


def estimate(app_state: AppState, plan: TrainingPlan) -> Estimate:
    """Estimate a training; reads rows and files, so call it from a thread."""
    config = plan.config
    images = config.total_images(plan.count)
    speed = _speed(app_state, config, plan.preset)
    return Estimate(
        generator_parameters=config.generator_config().parameters(),
        discriminator_parameters=config.discriminator_config().parameters(),
        images=images,
        batches=images // config.batch_size,
        operations_per_image=operations(config),
        memory_bytes=memory_bytes(config, plan.count),
        memory_source="by arithmetic",
        images_per_second=speed.images_per_second if speed else None,
        seconds=images / speed.images_per_second if speed else None,
        time_source=speed.source if speed else None,
    )


def _speed(app_state: AppState, config: TrainingConfig, preset: str) -> _Speed | None:
    """Convert the speed of the last run of the same preset, else of any, by operations per image."""
    runs, _ = app_state.records.list_runs(limit=RECENT_RUNS)
    for run in sorted(runs, key=lambda run: _preset_of(run) != preset):
        tick = last_tick(app_state.settings.runs_dir / run.id)
        speed = None if tick is None else tick.get("images_per_second")
        other = configuration(run) if speed else None
        if speed and other is not None:
            same = _preset_of(run) == preset
            source = "this preset" if same else f"{_preset_of(run)}, by operations per image"
            return _Speed(float(speed) * operations(other) / operations(config), f"the last run here of {source}")
    return None


def _preset_of(run: Run) -> str:
    return run.resolved.get("preset", run.preset)
