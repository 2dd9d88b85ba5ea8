"""Validation of a set of images: findings file by file, and a proposal of size and crop.

It reads no files, but records made while the images were decoded (`worker.data.uploads`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from models.config.values import CHOSEN_SIZES
from models.datasets.uploads import Finding, FindingKind, Proposal
from worker.data.decode import ImageHeader
from worker.data.perceptual_hash import first_near_duplicates

_EXTREME: Final = 3.0  # long side over short side: a square crop then loses two thirds
_WIDE: Final = 1.8  # ratio of the median image: a set wider than 16:9 should be shown whole
_SMALL_SHARE: Final = 0.1  # of the images may have to be enlarged to the proposed size
_IMBALANCE: Final = 10  # times as many images in the largest class as in the smallest
_MAX_NAMED: Final = 5  # classes in a message

_CONVERSIONS: Final[dict[FindingKind, str]] = {
    "turned": "was turned upright as its EXIF tag says",
    "transparent": "has transparent parts: they were laid on white",
    "sixteen_bit": "has 16 bits per colour: it was converted to 8",
    "cmyk": "has the colours of print (CMYK): it was converted to RGB",
}


class ImageRecord(NamedTuple):
    """One image file; `kind` and `reason` say why it was left out, and are None for one that is used."""

    name: str
    kind: FindingKind | None
    reason: str | None
    label: int | None
    width: int
    height: int
    conversions: tuple[FindingKind, ...]
    # sha256 of the file, its first 32 hexadecimal digits.
    digest: str
    # The difference hash; None for an image of one colour.
    perceptual_hash: int | None
    # No pixel has a colour.
    grey: bool


def propose_preparation(shapes: Sequence[ImageHeader]) -> Proposal:
    """Propose a size that most images have, and the crop that loses least.

    Args:
        shapes: of every image with a readable header.
    """
    if not shapes:
        return Proposal(size=CHOSEN_SIZES[0], crop="centre")
    short = np.sort([min(shape.width, shape.height) for shape in shapes])
    enough = short[int(len(short) * _SMALL_SHARE)]
    ratio = np.median([_ratio(shape.width, shape.height) for shape in shapes])
    size = max((size for size in CHOSEN_SIZES if size <= enough), default=CHOSEN_SIZES[0])
    return Proposal(size=size, crop="whole" if ratio > _WIDE else "centre")


def list_findings(
    records: Sequence[ImageRecord], classes: Sequence[str], others: Sequence[str], odd_names: Sequence[str]
) -> list[Finding]:
    """List the findings: about the whole set first, then file by file, in the order of their names.

    Args:
        records: of every image file, in the order of their names.
        classes: names that labels point into.
        others: files that are no images by their endings.
        odd_names: names in no known encoding.
    """
    found = [*_left_out(records), *_converted(records), *_shapes(records), *_grey(records)]
    found += [*_duplicates(records), *_near_duplicates(records)]
    found += (_finding("wrong_type", name, "is no image by its ending: it was left out", used=False) for name in others)
    found += (
        _finding("odd_name", name, "had a name in an unknown encoding: this is how it was read") for name in odd_names
    )
    found.sort(key=lambda finding: (finding.file or "", finding.kind))
    return [*_imbalance(records, classes), *found]


def _finding(kind: FindingKind, name: str, message: str, *, used: bool = True) -> Finding:
    return Finding(kind=kind, file=name, message=f'"{name}" {message}', used=used)


def _left_out(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    for record in records:
        if record.kind is not None:
            yield _finding(record.kind, record.name, str(record.reason), used=False)


def _converted(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    for record in records:
        for kind in record.conversions:
            yield _finding(kind, record.name, _CONVERSIONS[kind])


def _ratio(width: int, height: int) -> float:
    return max(width, height) / max(1, min(width, height))


def _shapes(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    for record in records:
        if record.kind is None and _ratio(record.width, record.height) > _EXTREME:
            message = f"is {record.width}x{record.height} px: little of it is left in a square"
            yield _finding("extreme_shape", record.name, message)


def _grey(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    """Find the grey images of a set that is mostly in colour."""
    used = [record for record in records if record.kind is None]
    grey = [record for record in used if record.grey]
    if 2 * len(grey) < len(used):
        for record in grey:
            yield _finding("grey", record.name, "is grey, most others have colours: a network learns both")


def _duplicates(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for record in records:
        if record.kind is None and (same := first.setdefault(record.digest, record.name)) != record.name:
            yield _finding("duplicate", record.name, f'is the same file as "{same}"')


def _near_duplicates(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    hashed = [record for record in records if record.kind is None and record.perceptual_hash is not None]
    first = first_near_duplicates(np.array([record.perceptual_hash for record in hashed], np.uint64)) if hashed else ()
    for record, index in zip(hashed, first, strict=True):
        other = hashed[index]
        if other.name != record.name and other.digest != record.digest:
            yield _finding("near_duplicate", record.name, f'looks like "{other.name}"')


def _imbalance(records: Sequence[ImageRecord], classes: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(record.label for record in records if record.kind is None and record.label is not None)
    if len(counts) > 1 and max(counts.values()) >= _IMBALANCE * min(counts.values()):
        largest = max(counts.values())
        rare = [classes[label] for label, count in sorted(counts.items()) if count * _IMBALANCE <= largest]
        more = f" and {len(rare) - _MAX_NAMED} more" if len(rare) > _MAX_NAMED else ""
        message = (
            f"the largest class has {largest:,} images, {', '.join(rare[:_MAX_NAMED])}{more} at most a tenth of that: "
            "rare classes are learned badly"
        )
        yield Finding(kind="imbalance", file=None, message=message, used=True)
