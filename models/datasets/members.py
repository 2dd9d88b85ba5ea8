"""What may lie in an archive of images: names, kinds and sizes are judged here, before anything is unfolded.

Nothing is ever written under a name that an archive gives; an archive that tries to leave its folder is refused all the
same, whole, for it was made to harm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from models.datasets.catalogue import IMAGE_SUFFIXES

_ARCHIVES: Final = (
    *(".7z", ".bz2", ".cab", ".gz", ".iso", ".jar", ".lz4", ".rar"),
    *(".tar", ".tbz", ".tgz", ".txz", ".xz", ".zip", ".zst"),
)

_MAX_NAME_BYTES: Final = 1024
_MAX_DEPTH: Final = 32
_MAX_FOLDER_NAME: Final = 200  # characters, as a class may have
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # surrogates are halves of characters
_RATIO_FLOOR: Final = 16 << 20  # bytes; what unfolds to less does no harm, however tightly it was packed
# Files that systems leave in folders by themselves, told to nobody.
_LITTER: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


class ArchiveProblem(ValueError):
    """An archive that is refused; the message says why, where, and what to do."""


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold."""

    files: int
    unpacked_bytes: int
    file_bytes: int
    ratio: int


@dataclass(frozen=True, order=True)
class Member:
    """One image file in an archive: its path, its size unfolded, and where its reader finds it."""

    name: str
    size: int
    place: int


@dataclass
class Contents:
    """What an archive holds: the images, by name; the names of other files; names that were in no known encoding."""

    images: list[Member] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)


def readable(raw: bytes) -> tuple[str, bool]:
    """Read a name's bytes as UTF-8, else as code page 437, where every byte is some character; tell which it was."""
    try:
        return raw.decode(), True
    except UnicodeDecodeError:
        return raw.decode("cp437"), False


def safe_path(name: str) -> PurePosixPath:
    r"""Check a member's name and give it as a relative path; `\` separates as `/` does, as on Windows.

    Raises:
        ArchiveProblem: it leads out of its folder, or could not be shown or kept.
    """
    told = printable(name)
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise ArchiveProblem(f'"{told[:60]}…" is a name of more than {_MAX_NAME_BYTES:,} bytes: shorten it')
    if _CONTROL.search(name):
        raise ArchiveProblem(f'"{told}" holds control characters: rename it')
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ArchiveProblem(f'"{told}" is an absolute name: pack the folder by its own name')
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveProblem(f'"{told}" leads out of its folder: pack the folder without ".."')
    if len(parts) > _MAX_DEPTH:
        raise ArchiveProblem(f'"{told[:60]}…" lies more than {_MAX_DEPTH} folders deep: pack it flatter')
    if any(len(part) > _MAX_FOLDER_NAME for part in parts[:-1]):
        raise ArchiveProblem(
            f'"{told[:60]}…" lies in a folder whose name has more than {_MAX_FOLDER_NAME} characters: shorten it'
        )
    return PurePosixPath(*parts)


def printable(name: str) -> str:
    """Make any name fit for a message: what cannot be shown is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def sort_out(members: Iterable[Member], packed_bytes: int, limits: Limits) -> Contents:
    """Judge an archive's files, folders left out, as its reader goes through them; images in the order of their names.

    Args:
        members: every file, under the name that the archive gives.
        packed_bytes: what all of them take in the archive.
        limits: the most that is accepted.

    Raises:
        ArchiveProblem: a file may not be there, or all of them are too many or too large.
    """
    contents = Contents()
    names: set[PurePosixPath] = set()
    total = 0
    for count, member in enumerate(members, start=1):
        path = safe_path(member.name)
        total += member.size
        _check_totals(count, total, packed_bytes, limits)
        if path in names:
            raise ArchiveProblem(f'"{path}" is there twice: which of them is meant?')
        names.add(path)
        if any(part.startswith(".") or part.lower() in _LITTER for part in path.parts):
            continue
        _file_in(contents, path, member, limits)
    if not contents.images:
        known = " ".join(sorted(IMAGE_SUFFIXES))
        raise ArchiveProblem(f"the archive holds no image file (known endings: {known})")
    contents.images.sort()
    contents.others.sort()
    return contents


def _file_in(contents: Contents, path: PurePosixPath, member: Member, limits: Limits) -> None:
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES:
        raise ArchiveProblem(f'"{path}" is an archive inside the archive: unpack it first')
    if suffix not in IMAGE_SUFFIXES:
        contents.others.append(str(path))
        return
    if member.size > limits.file_bytes:
        raise ArchiveProblem(
            f'"{path}" has {member.size:,} bytes: an image may have at most {limits.file_bytes:,}; save it smaller'
        )
    contents.images.append(Member(str(path), member.size, member.place))


def _check_totals(count: int, total: int, packed_bytes: int, limits: Limits) -> None:
    if count > limits.files:
        raise ArchiveProblem(f"the archive holds more than {limits.files:,} files: split it")
    if total > limits.unpacked_bytes:
        raise ArchiveProblem(f"the archive unfolds to more than {limits.unpacked_bytes:,} bytes: split it")
    check_ratio(total, packed_bytes, limits)


def check_ratio(unpacked: int, packed: int, limits: Limits) -> None:
    """Refuse what unfolds to far more than it takes: no images do.

    Raises:
        ArchiveProblem: it does.
    """
    if unpacked > _RATIO_FLOOR and unpacked > limits.ratio * packed:
        raise ArchiveProblem(f"the archive unfolds to more than {limits.ratio} times its size: images never do")
