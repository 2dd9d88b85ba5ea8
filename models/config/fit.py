"""Conflicts between a configuration and its data set, found before a run is queued."""

from __future__ import annotations

from collections.abc import Iterator

from models.config.choice import suggest_preset
from models.config.requests import ErrorItem
from models.config.training import TrainingConfig
from models.datasets.catalogue import BUILTIN
from models.datasets.info import DatasetInfo

# The longest training; the longest published ones show the discriminator some 25 million images.
MAX_IMAGES = 1_000_000_000
_KINDS = {1: "grey", 3: "colour"}


def conflicts(config: TrainingConfig, info: DatasetInfo) -> list[ErrorItem]:
    """Return what prevents a training, each with the field of the request to change."""
    return [*_size(config, info), *_colours(config, info), *_count(config, info), *_length(config, info)]


def _item(message: str, *loc: str) -> ErrorItem:
    return ErrorItem(loc=loc, msg=message)


def _size(config: TrainingConfig, info: DatasetInfo) -> Iterator[ErrorItem]:
    name, trains = info.name, f'the preset "{config.preset}" trains at {config.size} px'
    if info.prepared and info.side < config.size:
        yield _item(
            f'"{name}" was prepared at {info.side} px and {trains}: use another preset{_hint(info)}, or make a copy '
            f"of it with size={config.size}, if its images are as large",
            "dataset",
        )
    elif info.side < config.size:
        yield _item(
            f'"{name}" has images of {info.side} px and {trains}: enlarged images teach nothing but their blur; use '
            f"another preset{_hint(info)}",
            "dataset",
        )


def _hint(info: DatasetInfo) -> str:
    suggestion = suggest_preset(info.side, info.channels, info.count)
    return f", such as {suggestion.preset.name}" if suggestion else ""


def _colours(config: TrainingConfig, info: DatasetInfo) -> Iterator[ErrorItem]:
    # A preset for grey images converts others to grey, but colours cannot be invented. Only some images of a folder
    # were inspected: others may have colours.
    is_known = info.prepared or info.name in BUILTIN
    if config.channels == info.channels or not is_known or (config.channels == 1 and not info.prepared):
        return
    yield _item(
        f'"{info.name}" holds {_KINDS[info.channels]} images and the preset "{config.preset}" trains on '
        f'{_KINDS[config.channels]} ones: add "overrides": {{"channels": {info.channels}}}',
        "dataset",
    )


def _count(config: TrainingConfig, info: DatasetInfo) -> Iterator[ErrorItem]:
    if info.count < 2:
        message = f'"{info.name}" holds {info.count} image: a training needs two at least, and hundreds to be of use'
        yield _item(message, "dataset")
    elif config.batch_size > info.count:
        yield _item(
            f'a batch of {config.batch_size} is more than the {info.count} images of "{info.name}": at most '
            f"{info.count}",
            "overrides",
            "batch_size",
        )


def _length(config: TrainingConfig, info: DatasetInfo) -> Iterator[ErrorItem]:
    images = config.total_images(info.count)
    if images > MAX_IMAGES:
        yield _item(
            f"{images / 1000:,.0f} kimg are too many: at most {MAX_IMAGES // 1000:,}",
            "epochs" if config.epochs is not None else "kimg",
        )
