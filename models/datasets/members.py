"""Checks of the files in an archive: names, kinds and sizes, before anything is decompressed."""

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
_RATIO_FLOOR: Final = 16 << 20  # bytes; a smaller archive does no harm at any ratio
# Files that operating systems create by themselves; left out without a finding.
_SYSTEM_FILES: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


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
    """One image file in an archive: its path, its decompressed size, and its place for the reader."""

    name: str
    size: int
    place: int


@dataclass
class Contents:
    """Contents of an archive: the images by name, the names of other files, names in an unknown encoding."""

    images: list[Member] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    odd_names: list[str] = field(default_factory=list)


def decode_name(raw: bytes) -> tuple[str, bool]:
    """Decode a name as UTF-8, else as code page 437; also return whether it was UTF-8."""
    # Code page 437 decodes any bytes.
    try:
        return raw.decode(), True
    except UnicodeDecodeError:
        return raw.decode("cp437"), False


def safe_path(name: str) -> PurePosixPath:
    r"""Check a member's name and return it as a relative path; `\` is a separator too, as on Windows.

    Raises:
        ArchiveProblem: it leads out of its folder, or cannot be shown or stored.
    """
    shown = printable(name)
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise ArchiveProblem(f'"{shown[:60]}…" is a name of more than {_MAX_NAME_BYTES:,} bytes: shorten it')
    if _CONTROL.search(name):
        raise ArchiveProblem(f'"{shown}" holds control characters: rename it')
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ArchiveProblem(f'"{shown}" is an absolute name: pack the folder by its own name')
    parts = [part for part in name.split("/") if part not in ("", ".")]
    # Nothing is ever written under a name from an archive. The whole archive is refused all the same: such names are
    # made to do harm.
    if ".." in parts:
        raise ArchiveProblem(f'"{shown}" leads out of its folder: pack the folder without ".."')
    if len(parts) > _MAX_DEPTH:
        raise ArchiveProblem(f'"{shown[:60]}…" lies more than {_MAX_DEPTH} folders deep: pack it flatter')
    if any(len(part) > _MAX_FOLDER_NAME for part in parts[:-1]):
        raise ArchiveProblem(
            f'"{shown[:60]}…" lies in a folder whose name has more than {_MAX_FOLDER_NAME} characters: shorten it'
        )
    return PurePosixPath(*parts)


def printable(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def check_members(members: Iterable[Member], packed_bytes: int, limits: Limits) -> Contents:
    """Check an archive's files as its reader lists them; folders are left out, images are sorted by name.

    Args:
        members: every file, under its name in the archive.
        packed_bytes: the size of the archive.
        limits: of the archive.

    Raises:
        ArchiveProblem: a file is refused, or there are too many or too large ones.
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
        if any(part.startswith(".") or part.lower() in _SYSTEM_FILES for part in path.parts):
            continue
        _add_file(contents, path, member, limits)
    if not contents.images:
        known = " ".join(sorted(IMAGE_SUFFIXES))
        raise ArchiveProblem(f"the archive holds no image file (known endings: {known})")
    contents.images.sort()
    contents.others.sort()
    return contents


def _add_file(contents: Contents, path: PurePosixPath, member: Member, limits: Limits) -> None:
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
        raise ArchiveProblem(f"the archive unpacks to more than {limits.unpacked_bytes:,} bytes: split it")
    check_ratio(total, packed_bytes, limits)


def check_ratio(unpacked: int, packed: int, limits: Limits) -> None:
    """Check the compression ratio.

    Raises:
        ArchiveProblem: it is above the limit.
    """
    # No images reach a high ratio; bombs do.
    if unpacked > _RATIO_FLOOR and unpacked > limits.ratio * packed:
        raise ArchiveProblem(f"the archive unpacks to more than {limits.ratio} times its size: images never do")
