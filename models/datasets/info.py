"""What is known of a data set before it is opened: how many images, of what size, colours and classes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from models.config.values import Channels, Frozen
from models.datasets.catalogue import BUILTIN
from models.datasets.uploads import Report

PER_CLASS: Final = 200
"""Images that classes need on average to be learned apart."""
LEAST_OF_A_CLASS: Final = 50
"""Images that the smallest class needs for that."""
MOST_CLASSES: Final = 100


class DatasetInfo(Frozen):
    """What is known of a data set."""

    name: str
    count: Annotated[int, Field(ge=0, description="images; of a folder, files that may turn out unusable")]
    side: Annotated[int, Field(ge=1, description="pixels that nine of ten images have on their shorter side")]
    prepared: Annotated[bool, Field(description="prepared in that size and these colours, and to be had in no other")]
    channels: Annotated[Channels, Field(description="1: no image has colours")]
    classes: tuple[str, ...]
    fewest: Annotated[int | None, Field(description="images of the smallest class; null: not known, or no classes")] = (
        None
    )

    def blurred_classes(self) -> str | None:
        """Say why its classes cannot be learned apart, as the end of a sentence; None where they can."""
        number = len(self.classes)
        if number < 2:
            return "there are not two"
        if number > MOST_CLASSES or self.count < PER_CLASS * number:
            return f"{number} classes of {self.count // number:,} images on average are too few for each"
        if self.fewest is not None and self.fewest < LEAST_OF_A_CLASS:
            return f"one of {number} classes has {self.fewest} images, which is too few to learn it from"
        return None


def of_builtin(name: str) -> DatasetInfo:
    """Give what is known of a built-in data set."""
    known = BUILTIN[name]
    return DatasetInfo(
        name=name,
        count=known.count,
        side=known.size,
        prepared=False,
        channels=1 if known.channels == 1 else 3,
        classes=known.classes,
        fewest=min(known.counts) if known.classes else None,
    )


def of_upload(name: str, report: Report) -> DatasetInfo:
    """Give what is known of an uploaded data set that is prepared."""
    return DatasetInfo(
        name=name,
        count=report.count,
        side=report.size,
        prepared=True,
        channels=report.channels,
        classes=tuple(report.classes),
        fewest=min(report.classes.values(), default=None),
    )
