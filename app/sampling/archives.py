"""Containers written piece by piece: `.npy` and `.zip`, the same bytes every time."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from numpy.lib import format as npy


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Give what precedes a C-ordered uint8 array of this shape in an `.npy` file."""
    buffer = io.BytesIO()
    description = npy.header_data_from_array_1_0(np.empty(0, np.uint8)) | {"shape": shape}
    npy.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


class _Tail(io.BytesIO):
    """The end of a file whose beginning was handed on: positions count from the file's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = 0

    def tell(self) -> int:
        return self._gone + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._gone + super().seek(offset - self._gone if whence == io.SEEK_SET else offset, whence)

    def take(self) -> bytes:
        """Hand on what is there."""
        data = self.getvalue()
        self._gone += len(data)
        super().seek(0)
        self.truncate()
        return data


class ZipStream:
    """A zip of stored files, dated 1980-01-01: their sizes precede them, so that any reader can unpack as it comes."""

    def __init__(self) -> None:
        self._tail = _Tail()
        self._zip = zipfile.ZipFile(self._tail, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        """Put in a file."""
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3  # Unix, on every system
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, data)

    def take(self) -> bytes:
        """Give what was written since the last time."""
        return self._tail.take()

    def end(self) -> bytes:
        """Give the rest, with the list of all files; nothing can be put in afterwards."""
        self._zip.close()
        return self._tail.take()
