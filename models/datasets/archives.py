"""Archives of images, zip or tar: recognised by their first bytes, checked, and read file by file.

Archives are never unpacked to the disk. A tar.gz becomes its tar while it is received (`Gunzip`), under the same
limits.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from models.datasets import tars, zips
from models.datasets.members import ArchiveProblem, Contents, Limits, Member, check_ratio

__all__ = [
    "GZIP_MAGIC",
    "Archive",
    "ArchiveProblem",
    "Contents",
    "Gunzip",
    "Limits",
    "Member",
    "check_archive",
    "open_archive",
]

GZIP_MAGIC: Final = b"\x1f\x8b"

Archive = zips.Zip | tars.Tar

_OTHERS: Final = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstd",
    b"7z\xbc\xaf'\x1c": "7z",
    b"Rar!": "rar",
    GZIP_MAGIC: "a gzip inside a gzip",
}
_PIECE: Final = 1 << 20
# Parts of a gzip, each of which costs a copy of the rest of its chunk: so many, and one more per few kilobytes.
_PARTS: Final = 1000
_PART_BYTES: Final = 4096


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[tuple[Archive, Contents]]:
    """Open an archive and check its contents, by its headers.

    Raises:
        ArchiveProblem: the file is not a zip or tar, is damaged, or contains refused files.
    """
    kind = _kind(path)
    try:
        archive = kind(path, limits)
    except (ArchiveProblem, OSError):
        raise
    except Exception as error:  # readers of hostile headers raise all kinds of exceptions
        reason = error or type(error).__name__
        raise ArchiveProblem(f"the file is no zip, tar or tar.gz, or it is damaged: {reason}") from error
    try:
        yield archive, _contents(archive)
    finally:
        archive.close()


def check_archive(path: Path, limits: Limits) -> Contents:
    """Check an archive and return its contents.

    Raises:
        ArchiveProblem: see `open_archive`.
    """
    with open_archive(path, limits) as (_, contents):
        return contents


def _contents(archive: Archive) -> Contents:
    try:
        return archive.contents()
    except ArchiveProblem:
        raise
    except Exception as error:  # as above
        raise ArchiveProblem(f"the archive is damaged: {error or type(error).__name__}") from error


def _kind(path: Path) -> type[zips.Zip | tars.Tar]:
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((zips.MAGIC, zips.MAGIC_EMPTY)):
        return zips.Zip
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise ArchiveProblem(f"the file is {name}: pack the images as zip, tar or tar.gz")
    if len(head) < 512 or not any(head):
        raise ArchiveProblem("the file is no zip, tar or tar.gz, or an empty one: pack the images as one of these")
    return tars.Tar


class Gunzip:
    """Decompresses a gzip as it arrives, within the limits.

    Raises:
        ArchiveProblem: from `feed` and `finish`: the gzip is damaged, cut off, followed by other bytes, or a bomb.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stream = zlib.decompressobj(wbits=31)
        self._parts = 1
        self._packed = 0
        self._unpacked = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed bytes of `data`, in pieces."""
        self._packed += len(data)
        while True:
            if self._stream.eof:
                if not data:
                    return
                self._begin_next(data)
            piece = self._inflate(data)
            if piece:
                yield piece
            data = self._stream.unconsumed_tail or self._stream.unused_data
            if not data and len(piece) < _PIECE:
                return

    def _begin_next(self, data: bytes) -> None:
        # One gzip may follow another (RFC 1952, 2.2); other bytes after its end do not belong to it.
        if data[0] != GZIP_MAGIC[0]:
            raise ArchiveProblem("there are bytes after the gzip's end: it is damaged")
        self._parts += 1
        if self._parts > _PARTS + self._packed // _PART_BYTES:
            raise ArchiveProblem(f"the gzip is in more than {_PARTS:,} tiny parts: pack it in one")
        self._stream = zlib.decompressobj(wbits=31)

    def _inflate(self, data: bytes) -> bytes:
        try:
            piece = self._stream.decompress(data, _PIECE)
        except zlib.error as error:
            raise ArchiveProblem(f"the gzip is damaged: {error}") from error
        self._unpacked += len(piece)
        if self._unpacked > self._limits.unpacked_bytes:
            raise ArchiveProblem(f"the archive unpacks to more than {self._limits.unpacked_bytes:,} bytes: split it")
        check_ratio(self._unpacked, self._packed, self._limits)
        return piece

    def finish(self) -> None:
        """Check that the gzip has ended."""
        if not self._stream.eof:
            raise ArchiveProblem("the gzip was cut off: upload it again")
