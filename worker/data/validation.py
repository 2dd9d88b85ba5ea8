"""Says what is wrong or odd with a set of images, file by file, and what size and crop would suit it.

It is told what was seen while the images were decoded (`worker.data.imports`); it looks at no file itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from models.config.values import CHOSEN_SIZES
from models.datasets.uploads import Finding, FindingKind, Proposal
from worker.data.decode import Shape
from worker.data.perceptual_hash import look_alikes

_EXTREME: Final = 3.0  # long side over short side: a square crop then loses two thirds
_WIDE: Final = 1.8  # of the median image: wider than 16:9, the set should be shown whole
_SMALL_SHARE: Final = 0.1  # of the images may have to be enlarged to the proposed size
_IMBALANCE: Final = 10  # times as many images in the largest class as in the smallest
_NAMED: Final = 5  # classes in a message

_DONE: Final[dict[FindingKind, str]] = {
    "turned": "was turned upright as its EXIF tag says",
    "transparent": "has transparent parts: they were laid on white",
    "sixteen_bit": "has 16 bits per colour: it was converted to 8",
    "cmyk": "has the colours of print (CMYK): it was converted to RGB",
}


class Record(NamedTuple):
    """What was seen of one image file; `kind` and `reason` say why it was left out, None for one that is used."""

    name: str
    kind: FindingKind | None
    reason: str | None
    label: int | None
    width: int
    height: int
    done: tuple[FindingKind, ...]
    digest: str
    """Of the file's bytes."""
    likeness: int | None
    """The difference hash, None where there is none."""
    grey: bool
    """No pixel has a colour."""


def propose(shapes: Sequence[Shape]) -> Proposal:
    """Propose a size that most images have, and the crop that loses least.

    Args:
        shapes: of every image whose header could be read.
    """
    if not shapes:
        return Proposal(size=CHOSEN_SIZES[0], crop="centre")
    short = np.sort([min(shape.width, shape.height) for shape in shapes])
    enough = short[int(len(short) * _SMALL_SHARE)]
    ratio = np.median([_ratio(shape.width, shape.height) for shape in shapes])
    size = max((size for size in CHOSEN_SIZES if size <= enough), default=CHOSEN_SIZES[0])
    return Proposal(size=size, crop="whole" if ratio > _WIDE else "centre")


def diagnose(
    records: Sequence[Record], classes: Sequence[str], others: Sequence[str], renamed: Sequence[str]
) -> list[Finding]:
    """List what was found: about the whole set first, then file by file, in the order of their names.

    Args:
        records: what was seen of every image file, in the order of their names.
        classes: names that labels point into.
        others: files that are no images by their endings.
        renamed: names that were in no known encoding.
    """
    found = [*_left_out(records), *_converted(records), *_shapes(records), *_greys(records)]
    found += [*_duplicates(records), *_look_alikes(records)]
    found += (_finding("wrong_type", name, "is no image by its ending: it was left out", used=False) for name in others)
    found += (
        _finding("odd_name", name, "had a name in an unknown encoding: this is how it was read") for name in renamed
    )
    found.sort(key=lambda finding: (finding.file or "", finding.kind))
    return [*_imbalance(records, classes), *found]


def _finding(kind: FindingKind, name: str, message: str, *, used: bool = True) -> Finding:
    return Finding(kind=kind, file=name, message=f'"{name}" {message}', used=used)


def _left_out(records: Sequence[Record]) -> Iterator[Finding]:
    for record in records:
        if record.kind is not None:
            yield _finding(record.kind, record.name, str(record.reason), used=False)


def _converted(records: Sequence[Record]) -> Iterator[Finding]:
    for record in records:
        for kind in record.done:
            yield _finding(kind, record.name, _DONE[kind])


def _ratio(width: int, height: int) -> float:
    return max(width, height) / max(1, min(width, height))


def _shapes(records: Sequence[Record]) -> Iterator[Finding]:
    for record in records:
        if record.kind is None and _ratio(record.width, record.height) > _EXTREME:
            told = f"is {record.width}x{record.height} px: little of it is left in a square"
            yield _finding("extreme_shape", record.name, told)


def _greys(records: Sequence[Record]) -> Iterator[Finding]:
    """Name the grey images, where most are not."""
    used = [record for record in records if record.kind is None]
    grey = [record for record in used if record.grey]
    if 2 * len(grey) < len(used):
        for record in grey:
            yield _finding("grey", record.name, "is grey, most others have colours: a network learns both")


def _duplicates(records: Sequence[Record]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for record in records:
        if record.kind is None and (same := first.setdefault(record.digest, record.name)) != record.name:
            yield _finding("duplicate", record.name, f'is the same file as "{same}"')


def _look_alikes(records: Sequence[Record]) -> Iterator[Finding]:
    hashed = [record for record in records if record.kind is None and record.likeness is not None]
    alike = look_alikes(np.array([record.likeness for record in hashed], np.uint64)) if hashed else ()
    for record, index in zip(hashed, alike, strict=True):
        other = hashed[index]
        if other.name != record.name and other.digest != record.digest:
            yield _finding("near_duplicate", record.name, f'looks like "{other.name}"')


def _imbalance(records: Sequence[Record], classes: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(record.label for record in records if record.kind is None and record.label is not None)
    if len(counts) > 1 and max(counts.values()) >= _IMBALANCE * min(counts.values()):
        largest = max(counts.values())
        rare = [classes[label] for label, count in sorted(counts.items()) if count * _IMBALANCE <= largest]
        more = f" and {len(rare) - _NAMED} more" if len(rare) > _NAMED else ""
        told = (
            f"the largest class has {largest:,} images, {', '.join(rare[:_NAMED])}{more} at most a tenth of that: "
            "rare classes are learned badly"
        )
        yield Finding(kind="imbalance", file=None, message=told, used=True)
