"""What a training will take, by arithmetic on its configuration and by what the same preset took last time."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.house import House
from app.runs import image_count, total_images
from models import artefacts
from models.config import TrainingConfig

# Both networks hold weights, gradients and two Adam moments; the generator's average comes on top. float32.
_BYTES = 4
_COPIES = 4


class Estimate(BaseModel):
    """Null means not known before the run has started."""

    generator_parameters: int
    discriminator_parameters: int
    images: int | None = Field(description="real images that the discriminator will be shown")
    batches: int | None = Field(description="of them, in the discriminator's steps")
    memory_bytes: int | None = Field(
        description="weights, gradients, optimisers, average and data set; activations come on top"
    )
    images_per_second: float | None = Field(description="of this preset's last run here")
    seconds: float | None


def estimate(house: House, config: TrainingConfig) -> Estimate:
    """Estimate a training; reads rows and files, so call it from a thread."""
    count = image_count(house, config.dataset, {})
    images = total_images(config, count)
    speed = _last_speed(house, config.preset)
    generator, discriminator = (
        config.generator_config().parameters(),
        config.discriminator_config().parameters(),
    )
    weights = _BYTES * (_COPIES * (generator + discriminator) + generator)
    data = None if count is None else count * config.size**2 * config.channels
    return Estimate(
        generator_parameters=generator,
        discriminator_parameters=discriminator,
        images=images,
        batches=None if images is None else images // config.batch_size,
        memory_bytes=None if data is None else weights + data,
        images_per_second=speed,
        seconds=images / speed if images and speed else None,
    )


def _last_speed(house: House, preset: str) -> float | None:
    runs, _ = house.records.list_runs()
    for run in runs:
        if run.preset == preset and (tick := artefacts.last_tick(house.settings.runs_dir / run.id)):
            speed = tick.get("images_per_second")
            return float(speed) if speed else None
    return None
