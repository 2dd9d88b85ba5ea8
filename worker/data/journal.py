"""The journal of a preparation, from which a later attempt continues."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from models.config.values import Channels, Frozen, ImageShape, Size
from models.datasets.uploads import SYNC_EVERY, Crop, Options, Proposal
from worker.data.prepared import IMAGES
from worker.data.validation import ImageRecord

VERSION: Final = 1  # raise it when the same archive would give other pixels
PLAN: Final = "plan.json"
JOURNAL: Final = "journal.jsonl"


class PreparationPlan(Frozen):
    """Size, colours and crop of the prepared images, decided once for all attempts."""

    version: int = VERSION
    options: Options
    size: Size
    channels: Channels
    crop: Crop
    proposal: Proposal

    @property
    def shape(self) -> ImageShape:
        return ImageShape(self.size, self.size, self.channels)


class PreparationJournal:
    """Records of images as lines, and their pixels in a second file; a context manager that syncs at its end."""

    def __init__(self, work: Path, plan: PreparationPlan) -> None:
        self._image_bytes = plan.shape.values
        self._lines = (work / JOURNAL).open("a+b")
        self._images = (work / IMAGES).open("a+b")
        self.records: list[ImageRecord] = []
        self._unsynced: list[ImageRecord] = []
        self._load()

    def _load(self) -> None:
        self._lines.seek(0)
        image_bytes = self._images.seek(0, os.SEEK_END)
        used = end = 0
        for line in self._lines:
            record = _parse(line)
            # The first incomplete line, or one whose pixels are missing, ends the valid part; the rest is cut off.
            if record is None or (used + (record.kind is None)) * self._image_bytes > image_bytes:
                break
            self.records.append(record)
            used += record.kind is None
            end += len(line)
        self._lines.truncate(end)
        self._images.truncate(used * self._image_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()
        self._lines.close()
        self._images.close()

    def add(self, record: ImageRecord, pixels: NDArray[np.uint8] | None) -> None:
        """Add an image, with its pixels if it is used."""
        if pixels is not None:
            self._images.write(pixels.tobytes())
        self.records.append(record)
        self._unsynced.append(record)
        if len(self._unsynced) >= SYNC_EVERY:
            self._sync()

    def _sync(self) -> None:
        # Pixels reach the disk before their lines: after a crash every complete line is valid.
        self._images.flush()
        os.fsync(self._images.fileno())
        self._lines.write(b"".join(json.dumps(record).encode() + b"\n" for record in self._unsynced))
        self._lines.flush()
        os.fsync(self._lines.fileno())
        self._unsynced.clear()


def _parse(line: bytes) -> ImageRecord | None:
    """Parse a line; None for an incomplete one."""
    if not line.endswith(b"\n"):
        return None
    try:
        values = json.loads(line)
        return ImageRecord(*values)._replace(conversions=tuple(values[6]))
    except (ValueError, TypeError, LookupError):  # after a power cut a file may hold anything
        return None
