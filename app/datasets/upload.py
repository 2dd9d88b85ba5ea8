"""Uploads: the multipart body of `POST /datasets`, streamed to the disk within limits.

`models.datasets` checks the archive; the client's key has already been checked.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.http.problems import Problem, invalid, phrase
from app.settings import AppSettings
from models.datasets.archives import GZIP_MAGIC, Gunzip
from models.datasets.uploads import folder_size

FIELDS: Final = ("name", "size", "crop")
FILE: Final = "file"

_CHUNK: Final = 1 << 20  # written at once, in a thread
_CHECK_EVERY: Final = 32 << 20  # bytes between two checks of the free disk space
_MAX_FIELD_BYTES: Final = 256
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@dataclass
class MultipartForm:
    """The fields of a multipart body parsed so far; `pending` holds unread bytes of the file."""

    fields: dict[str, str] = field(default_factory=dict)
    pending: bytearray = field(default_factory=bytearray)
    file_begun: bool = False
    ended: bool = False
    _headers: list[tuple[bytearray, bytearray]] = field(default_factory=list)
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)

    def begin_part(self) -> None:
        self._headers = []
        self._value = bytearray()

    def begin_header(self) -> None:
        self._headers.append((bytearray(), bytearray()))

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][1].extend(data[start:end])

    def end_headers(self) -> None:
        """Identify the part by its headers.

        Raises:
            Problem: the field is unknown, or was sent before.
        """
        headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in self._headers}
        kind, options = parse_options_header(headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or self._name not in (*FIELDS, FILE):
            raise _invalid_field(self._name or "part", f'there is no field "{self._name}" here: check its spelling')
        if self._name in self.fields or (self._name == FILE and self.file_begun):
            raise _invalid_field(self._name, "this was given twice")
        self.file_begun = self.file_begun or self._name == FILE

    def data(self, data: bytes, start: int, end: int) -> None:
        """Append to the part's content.

        Raises:
            Problem: a field is too long.
        """
        if self._name == FILE:
            self.pending.extend(memoryview(data)[start:end])
            return
        self._value.extend(data[start:end])
        if len(self._value) > _MAX_FIELD_BYTES:
            raise _invalid_field(self._name, f"this has more than {_MAX_FIELD_BYTES} bytes")

    def end_part(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def end(self) -> None:
        """Note the closing boundary."""
        self.ended = True

    def take(self) -> bytes:
        """Return and clear the pending bytes of the file."""
        data = bytes(self.pending)
        self.pending.clear()
        return data


class UploadWriter:
    """Writes an upload to a file, decompressed if it is a gzip; a context manager that closes it."""

    def __init__(self, path: Path, settings: AppSettings) -> None:
        self._settings = settings
        self._file: IO[bytes] = path.open("xb")
        self._gunzip: Gunzip | None = None
        self._begun = False
        self._checked_at = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append to the file.

        Raises:
            Problem: 507, there is no disk space for it.
            ArchiveProblem: the file is a damaged gzip or a decompression bomb.
        """
        if not self._begun:
            self._begun = True
            self._gunzip = Gunzip(self._settings.upload_limits) if data.startswith(GZIP_MAGIC) else None
        for piece in self._gunzip.feed(data) if self._gunzip else (data,):
            self._append(piece)

    def finish(self) -> None:
        """Sync the file.

        Raises:
            Problem, ArchiveProblem: as for `write`.
        """
        if self._gunzip:
            self._gunzip.finish()
        self._file.flush()
        os.fsync(self._file.fileno())

    def _append(self, data: bytes) -> None:
        if self.size - self._checked_at > _CHECK_EVERY:
            check_space(self._settings, 0)
            self._checked_at = self.size
        with _full_disk_as_problem():
            self._file.write(data)
        self.size += len(data)


def check_space(settings: AppSettings, wanted: int) -> None:
    """Refuse an upload for which there is no disk space.

    Raises:
        Problem: 507, it would exceed the quota, or fill the disk.
    """
    settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    used, quota = folder_size(settings.uploads_dir), settings.uploads_quota_bytes
    if used + wanted > quota:
        raise _no_space(
            f"uploaded data sets may take {quota:,} bytes together, {used:,} are taken: delete one, or raise "
            "ATELIER_UPLOADS_QUOTA_BYTES"
        )
    free = shutil.disk_usage(settings.uploads_dir).free
    if wanted + settings.spare_bytes > free:
        raise _no_space(
            f"the disk has {free:,} bytes left, of which uploads leave {settings.spare_bytes:,} to everything else: "
            "make room"
        )


def link_or_copy(source: Path, target: Path, settings: AppSettings) -> None:
    """Link an archive to another name, or copy it where the file system has no hard links.

    Raises:
        FileNotFoundError: the source is gone.
        Problem: 507, there is no disk space for a copy.
    """
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        check_space(settings, source.stat().st_size)
        with _full_disk_as_problem(), source.open("rb") as whole, target.open("xb") as copy:
            shutil.copyfileobj(whole, copy)
            copy.flush()
            os.fsync(copy.fileno())


@contextmanager
def _full_disk_as_problem() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise _no_space(f"the disk is full: {error.strerror}") from error


async def receive_upload(
    request: Request, writer: UploadWriter, check_fields: Callable[[dict[str, str]], None]
) -> dict[str, str]:
    """Receive the request's body: write its file, and return its fields.

    Args:
        request: its body is unread.
        writer: of the file.
        check_fields: called in a thread with the fields sent before the file; an exception ends the upload early.

    Raises:
        Problem: the body is not a form or is incomplete, or there is no disk space for it.
        ArchiveProblem: the file is a damaged gzip or a decompression bomb.
    """
    form = MultipartForm()
    checked = False
    try:
        parser = _parser(request, form)
        async for chunk in request.stream():
            parser.write(chunk)
            if form.file_begun and not checked:
                checked = True
                await run_in_threadpool(check_fields, form.fields)
            if len(form.pending) >= _CHUNK:
                await run_in_threadpool(writer.write, form.take())
        await run_in_threadpool(writer.write, form.take())
    except FormParserError as error:
        raise _invalid_field("body", f"this is no multipart/form-data: {error}") from error
    except ClientDisconnect:
        raise Problem(499, "Client Closed Request", "the client disconnected before the upload was complete") from None
    if not form.ended:
        raise _invalid_field("body", "the form was cut off: upload it again")
    if not form.file_begun:
        raise _invalid_field(FILE, "this is missing: a zip, tar or tar.gz of images")
    await run_in_threadpool(writer.finish)
    return form.fields


def _parser(request: Request, form: MultipartForm) -> MultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Problem(415, phrase(415), "send multipart/form-data with the fields name and file")
    return MultipartParser(
        boundary,
        {
            "on_part_begin": form.begin_part,
            "on_header_begin": form.begin_header,
            "on_header_field": form.header_name,
            "on_header_value": form.header_value,
            "on_headers_finished": form.end_headers,
            "on_part_data": form.data,
            "on_part_end": form.end_part,
            "on_end": form.end,
        },
    )


def _invalid_field(name: str, message: str) -> Problem:
    return invalid([{"loc": ("body",) if name == "body" else ("body", name), "msg": message}])


def _no_space(detail: str) -> Problem:
    return Problem(507, phrase(507), detail)
