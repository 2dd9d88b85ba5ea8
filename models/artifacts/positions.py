"""Where a run is, in images, and the names of files that say so."""

from __future__ import annotations

import re
from typing import NamedTuple

_KIMG_NAME = re.compile(r"([0-9]{6,})\.([0-9]{3})", re.ASCII)
_CHECKPOINT_NAME = re.compile(r"([0-9]{6,}\.[0-9]{3})(?:-([1-9][0-9]*))?", re.ASCII)


def kimg_name(images: int) -> str:
    """Name an artefact by its position, such as `000512.000` for 512,000 images; sorts by position."""
    return f"{images // 1000:06d}.{images % 1000:03d}"


def images_of(name: str) -> int | None:
    """Read a position back from its `kimg_name`; None if `name` is no such name."""
    match = _KIMG_NAME.fullmatch(name)
    return int(match[1]) * 1000 + int(match[2]) if match else None


class Position(NamedTuple):
    """Where a run is: a rollback takes it back to fewer images, and yet further."""

    rollbacks: int
    images: int

    @property
    def name(self) -> str:
        """Name a checkpoint, such as `000512.000`, and `000512.000-2` after two rollbacks."""
        return kimg_name(self.images) + (f"-{self.rollbacks}" if self.rollbacks else "")

    @classmethod
    def parse(cls, name: str) -> Position | None:
        """Read a checkpoint's name back; None if it is no such name."""
        match = _CHECKPOINT_NAME.fullmatch(name)
        images = images_of(match[1]) if match else None
        return cls(int(match[2] or 0), images) if match and images is not None else None
