"""Tar archives, listed and read file by file in any order; never unpacked to the disk."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from models.datasets.members import ArchiveProblem, Contents, Limits, Member, check_members, decode_name, printable

_MAX_HEADER_BYTES: Final = 64 << 10  # long names and extended headers are read whole


class _Guard(io.FileIO):
    """A file that refuses reads of more than 64 KiB."""

    def read(self, size: int | None = -1, /) -> bytes:
        # The standard library reads as much as a header claims.
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise ArchiveProblem("a header of the tar claims a senseless length: it is damaged, or made to do harm")
        return super().read(size) or b""


class _FileSlice(io.RawIOBase):
    """Part of a file, as a file; closing it leaves the file open."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Tar:
    """An open tar, not compressed; a context manager through `close`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open an archive.

        Raises:
            tarfile.TarError: the file is not a tar.
        """
        self._guard = _Guard(path)
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._limits = limits
        try:
            self._tar = tarfile.open(  # noqa: SIM115  # `close` closes it
                fileobj=self._guard, mode="r:", encoding="utf-8", errors="surrogateescape"
            )
        except BaseException:
            self._guard.close()
            self._file.close()
            raise

    def contents(self) -> Contents:
        """Check and return the contents.

        Raises:
            ArchiveProblem: something in it is refused.
        """
        odd_names: list[str] = []
        contents = check_members(self._members(odd_names), self._size, self._limits)
        contents.odd_names = sorted(odd_names)
        return contents

    def _members(self, odd_names: list[str]) -> Iterator[Member]:
        before = -1
        headers = 0
        while (entry := self._tar.next()) is not None:
            self._tar.members.clear()  # type: ignore[attr-defined]  # it would grow with every entry
            self._tar.pax_headers = {}  # and so would this; global headers say nothing about images
            headers += 1
            if headers > 2 * self._limits.files:
                raise ArchiveProblem(
                    f"the archive holds more than {2 * self._limits.files:,} folders and files: split it"
                )
            if entry.offset <= before or entry.size < 0:
                raise ArchiveProblem("the tar's headers lead backwards: it is damaged")
            before = entry.offset
            _check_kind(entry)
            if entry.isdir():
                continue
            name, known = decode_name(entry.name.encode("utf-8", "surrogateescape"))
            if not known:
                odd_names.append(name)
            if entry.offset_data + entry.size > self._size:
                raise ArchiveProblem(f'"{printable(name)}" reaches past the end: the tar was cut off; upload it again')
            yield Member(name, entry.size, entry.offset_data)
        self._check_end()

    def _check_end(self) -> None:
        # A complete tar ends in blocks of zeros; the standard library accepts any end.
        self._file.seek(self._tar.offset)
        while data := self._file.read(1 << 20):
            if data.strip(b"\0"):
                raise ArchiveProblem("there are bytes after the tar's end, or in place of a header: it is damaged")

    def open(self, member: Member) -> IO[bytes]:
        return io.BufferedReader(_FileSlice(self._file, member.place, member.size))

    def close(self) -> None:
        self._tar.close()
        self._guard.close()
        self._file.close()


def _check_kind(entry: tarfile.TarInfo) -> None:
    shown = printable(entry.name)
    if entry.issym() or entry.islnk():
        raise ArchiveProblem(f'"{shown}" is a link: pack the images themselves')
    if entry.isdir():
        return
    if not entry.isreg() or entry.issparse():
        raise ArchiveProblem(f'"{shown}" is a device or another special file: pack plain files')
