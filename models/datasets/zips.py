"""Zip archives, listed and read file by file in any order; never unpacked to the disk."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from models.datasets.members import ArchiveProblem, Contents, Limits, Member, check_members, decode_name, printable

MAGIC: Final = b"PK\x03\x04"
MAGIC_EMPTY: Final = b"PK\x05\x06"

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL_HEADER_BYTES: Final = 30
_MAX_COMMENT_BYTES: Final = 0xFFFF
_MAX_ENTRY_BYTES: Final = 512  # of the directory, per file, on average
_DIRECTORY_FLOOR: Final = 1 << 16  # bytes; no directory is too long up to here
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_UTF8: Final = 0x800
_UNIX: Final = 3


class Zip:
    """An open zip; a context manager through `close`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open an archive and check its directory.

        Raises:
            ArchiveProblem: it is damaged or refused.
        """
        with path.open("rb") as file:
            # Before the standard library, which reads a directory of any length into memory.
            count = _check_end(file, limits)
        self._zip = zipfile.ZipFile(path)
        self._entries = self._zip.infolist()
        if len(self._entries) != count:
            raise ArchiveProblem(f"the zip lists {len(self._entries):,} of its {count:,} files: it is damaged")
        self._packed = path.stat().st_size
        self._limits = limits

    def contents(self) -> Contents:
        """Check and return the contents.

        Raises:
            ArchiveProblem: something in it is refused.
        """
        # Files that share bytes: a small zip could hold petabytes (D. Fifield, "A better zip bomb", 2019).
        self._check_overlaps()
        odd_names: list[str] = []
        contents = check_members(self._members(odd_names), self._packed, self._limits)
        contents.odd_names = sorted(odd_names)
        return contents

    def _members(self, odd_names: list[str]) -> Iterator[Member]:
        for place, entry in enumerate(self._entries):
            _check_kind(entry)
            raw = entry.orig_filename
            name, known = (raw, True) if entry.flag_bits & _UTF8 else decode_name(raw.encode("cp437"))
            if entry.is_dir() or name.endswith(("/", "\\")):
                continue
            if not known:
                odd_names.append(name)
            yield Member(name, entry.file_size, place)

    def _check_overlaps(self) -> None:
        end = 0
        for entry in sorted(self._entries, key=lambda entry: entry.header_offset):
            if entry.header_offset < end:
                raise ArchiveProblem(f'"{printable(entry.filename)}" shares bytes with another file: an archive bomb')
            end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size
        if end > self._zip.start_dir:
            raise ArchiveProblem("the archive's files reach into its directory: it is damaged")

    def open(self, member: Member) -> IO[bytes]:
        """Open a file to read from, at most its listed size."""
        return self._zip.open(self._entries[member.place])

    def close(self) -> None:
        self._zip.close()


def _check_kind(entry: zipfile.ZipInfo) -> None:
    shown = printable(entry.filename)
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveProblem(f'"{shown}" is encrypted: pack the images without a password')
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveProblem(f'"{shown}" is packed by method {entry.compress_type}: use an ordinary zip (deflate)')
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveProblem(f'"{shown}" is a link or a device, not a file: pack the images themselves')


def _check_end(file: IO[bytes], limits: Limits) -> int:
    """Check the directory's end and length, and return its number of files.

    Source: APPNOTE 4.3.14 to 4.3.16.
    """
    size = file.seek(0, 2)
    tail_at = max(0, size - _END.size - _MAX_COMMENT_BYTES)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(MAGIC_EMPTY)
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveProblem("the zip has no end: it was cut off; upload it again")
    count: int
    *_, count, length, _, comment = _END.unpack_from(tail, at)
    if (rest := len(tail) - at - _END.size - comment) != 0:
        raise ArchiveProblem(f"there are {abs(rest):,} bytes {'after' if rest > 0 else 'missing at'} the zip's end")
    if locator := _end64(file, tail_at + at):
        count, length = locator
    if count > limits.files:
        raise ArchiveProblem(f"the archive holds more than {limits.files:,} files: split it")
    if length > _DIRECTORY_FLOOR + count * _MAX_ENTRY_BYTES:
        raise ArchiveProblem("the zip's directory is far too long for its files")
    return count


def _end64(file: IO[bytes], end_at: int) -> tuple[int, int] | None:
    """Read the number of files and the length of a zip64 directory, if there is one."""
    if end_at < _END64_LOCATOR.size:
        return None
    file.seek(end_at - _END64_LOCATOR.size)
    magic, _, offset, _ = _END64_LOCATOR.unpack(file.read(_END64_LOCATOR.size))
    if magic != b"PK\x06\x07":
        return None
    file.seek(min(offset, end_at))
    data = file.read(_END64.size)
    if len(data) < _END64.size or data[:4] != b"PK\x06\x06":
        raise ArchiveProblem("the zip's 64-bit end cannot be found: it is damaged")
    *_, count, length, _ = _END64.unpack(data)
    return count, length
