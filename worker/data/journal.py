"""What a preparation has done so far, on the disk, so that a later attempt goes on where one ended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from models.config.values import Channels, Frozen, Size
from models.datasets.uploads import KEPT_EVERY, Crop, Options, Proposal
from worker.data.prepared import IMAGES
from worker.data.validation import Record

VERSION: Final = 1  # raise it when the same archive would give other pixels
PLAN: Final = "plan.json"
JOURNAL: Final = "journal.jsonl"


class Plan(Frozen):
    """What the images are made into."""

    version: int = VERSION
    options: Options
    size: Size
    channels: Channels
    crop: Crop
    proposal: Proposal

    @property
    def image_bytes(self) -> int:
        """Bytes of one prepared image."""
        return self.channels * self.size * self.size


class Journal:
    """What was seen, line by line, and the pixels beside it; a context manager that keeps what was added.

    Pixels reach the disk before the lines that tell of them: after any death, the lines that are there hold.
    """

    def __init__(self, work: Path, plan: Plan) -> None:
        self._image_bytes = plan.image_bytes
        self._lines = (work / JOURNAL).open("a+b")
        self._images = (work / IMAGES).open("a+b")
        self.records: list[Record] = []
        self._unkept: list[Record] = []
        self._recall()

    def _recall(self) -> None:
        self._lines.seek(0)
        there = self._images.seek(0, os.SEEK_END)
        used = end = 0
        for line in self._lines:
            record = _parse(line)
            if record is None or (used + (record.kind is None)) * self._image_bytes > there:
                break
            self.records.append(record)
            used += record.kind is None
            end += len(line)
        self._lines.truncate(end)
        self._images.truncate(used * self._image_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep()
        self._lines.close()
        self._images.close()

    def add(self, record: Record, pixels: NDArray[np.uint8] | None) -> None:
        """Note an image, with its pixels if it is used."""
        if pixels is not None:
            self._images.write(pixels.tobytes())
        self.records.append(record)
        self._unkept.append(record)
        if len(self._unkept) >= KEPT_EVERY:
            self._keep()

    def _keep(self) -> None:
        self._images.flush()
        os.fsync(self._images.fileno())
        self._lines.write(b"".join(json.dumps(record).encode() + b"\n" for record in self._unkept))
        self._lines.flush()
        os.fsync(self._lines.fileno())
        self._unkept.clear()


def _parse(line: bytes) -> Record | None:
    """Read a line; None for one that was not written whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        values = json.loads(line)
        return Record(*values)._replace(done=tuple(values[6]))
    except (ValueError, TypeError, LookupError):  # after a power cut a file may hold anything
        return None
