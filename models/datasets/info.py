"""Information on data sets before they are opened: number of images, size, colours and classes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from models.config.values import Channels, Frozen
from models.datasets.catalogue import BUILTIN
from models.datasets.uploads import ValidationReport

# Images that classes need on average to be learned by a conditional network.
MIN_PER_CLASS: Final = 200
# Images that the smallest class needs for it.
MIN_SMALLEST_CLASS: Final = 50
MAX_CLASSES: Final = 100


class DatasetInfo(Frozen):
    """Information on a data set before it is opened."""

    name: str
    count: Annotated[int, Field(ge=0, description="images; of a folder, files that may turn out unusable")]
    side: Annotated[int, Field(ge=1, description="pixels that nine of ten images have on their shorter side")]
    prepared: Annotated[
        bool, Field(description="prepared in that size, in these colours; smaller sizes can be trained too")
    ]
    channels: Annotated[Channels, Field(description="1: no image has colours")]
    classes: tuple[str, ...]
    fewest: Annotated[int | None, Field(description="images of the smallest class; null: not known, or no classes")] = (
        None
    )

    def class_problem(self) -> str | None:
        """Return why the classes cannot be learned, as the end of a sentence; None if they can."""
        number = len(self.classes)
        if number < 2:
            return "there are not two"
        if number > MAX_CLASSES or self.count < MIN_PER_CLASS * number:
            return f"{number} classes of {self.count // number:,} images on average are too few for each"
        if self.fewest is not None and self.fewest < MIN_SMALLEST_CLASS:
            return f"one of {number} classes has {self.fewest} images, which is too few to learn it from"
        return None


def builtin_info(name: str) -> DatasetInfo:
    """Return the information on a built-in data set."""
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


def upload_info(name: str, report: ValidationReport) -> DatasetInfo:
    """Return the information on an uploaded data set that is prepared."""
    return DatasetInfo(
        name=name,
        count=report.count,
        side=report.size,
        prepared=True,
        channels=report.channels,
        classes=tuple(report.classes),
        fewest=min(report.classes.values(), default=None),
    )
