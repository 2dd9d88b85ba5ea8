"""Whether a training fits its data set: all that can be told before anything is queued, by arithmetic on facts."""

from __future__ import annotations

from collections.abc import Iterator

from models.config.presets import ErrorItem, proposed
from models.config.training import TrainingConfig
from models.datasets.catalogue import BUILTIN
from models.datasets.info import DatasetInfo

MAX_IMAGES = 1_000_000_000
"""The longest training; the longest published ones show the discriminator some 25 million images."""
_KINDS = {1: "grey", 3: "colour"}


def misfits(config: TrainingConfig, facts: DatasetInfo) -> list[ErrorItem]:
    """Say what stands in the way of a training, each with the place in the request that would mend it."""
    return [*_size(config, facts), *_colours(config, facts), *_count(config, facts), *_length(config, facts)]


def _item(message: str, *loc: str) -> ErrorItem:
    return ErrorItem(loc=loc, msg=message)


def _size(config: TrainingConfig, facts: DatasetInfo) -> Iterator[ErrorItem]:
    name, trains = facts.name, f'the preset "{config.preset}" trains at {config.size} px'
    if facts.prepared and facts.side != config.size:
        yield _item(
            f'"{name}" was prepared at {facts.side} px and {trains}: use another preset{_hint(facts)}, or make a copy '
            f"of it with size={config.size}",
            "dataset",
        )
    elif facts.side < config.size:
        yield _item(
            f'"{name}" has images of {facts.side} px and {trains}: enlarged images teach nothing but their blur; use '
            f"another preset{_hint(facts)}",
            "dataset",
        )


def _hint(facts: DatasetInfo) -> str:
    preset = proposed(facts.side, facts.channels, facts.count)
    return f", such as {preset.name}" if preset else ""


def _colours(config: TrainingConfig, facts: DatasetInfo) -> Iterator[ErrorItem]:
    # Images are turned grey on the way in where a preset wants them so; colours cannot be made up. Of a folder only
    # some images were looked at: others may have colours.
    is_known = facts.prepared or facts.name in BUILTIN
    if config.channels == facts.channels or not is_known or (config.channels == 1 and not facts.prepared):
        return
    yield _item(
        f'"{facts.name}" holds {_KINDS[facts.channels]} images and the preset "{config.preset}" trains on '
        f'{_KINDS[config.channels]} ones: add "overrides": {{"channels": {facts.channels}}}',
        "dataset",
    )


def _count(config: TrainingConfig, facts: DatasetInfo) -> Iterator[ErrorItem]:
    if facts.count < 2:
        message = f'"{facts.name}" holds {facts.count} image: a training needs two at least, and hundreds to be of use'
        yield _item(message, "dataset")
    elif config.batch_size > facts.count:
        yield _item(
            f'a batch of {config.batch_size} is more than the {facts.count} images of "{facts.name}": at most '
            f"{facts.count}",
            "overrides",
            "batch_size",
        )


def _length(config: TrainingConfig, facts: DatasetInfo) -> Iterator[ErrorItem]:
    images = config.total_images(facts.count)
    if images > MAX_IMAGES:
        yield _item(
            f"{images / 1000:,.0f} kimg are beyond all measure: at most {MAX_IMAGES // 1000:,}",
            "epochs" if config.epochs is not None else "kimg",
        )
