"""Responses from open files, whole or a requested range of bytes (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def file_response(
    file: BinaryIO, size: int, request: Mapping[str, str], headers: Mapping[str, str], media_type: str
) -> Response:
    """Send a file and close it: 206 for one range, 416 for an unsatisfiable one, else 200 with the whole file.

    Args:
        file: open at its start, with `size` bytes.
        request: the request's headers.
        headers: the response's, with an ETag.
    """
    # Several ranges, and units other than bytes, get the whole file, as the RFC allows.
    headers = {**headers, "Accept-Ranges": "bytes"}
    wanted = request.get("range")
    # If-Range: a download that was begun with another version starts again.
    if wanted is None or request.get("if-range", headers["ETag"]) != headers["ETag"]:
        wanted = ""
    match = _RANGE.fullmatch(wanted.replace(" ", ""))
    if match is None:
        return _stream(file, 0, size, 200, headers, media_type)
    first, last, suffix = match.groups()
    start = int(first) if first else max(0, size - int(suffix))
    stop = min(size, int(last) + 1) if last else size
    if start >= stop:
        file.close()
        # RFC 9110, section 15.5.17: say how long the file is.
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return _stream(file, start, stop, 206, headers, media_type)


def _stream(
    file: BinaryIO, start: int, stop: int, status: int, headers: Mapping[str, str], media_type: str
) -> StreamingResponse:
    headers = {**headers, "Content-Length": str(stop - start)}
    return StreamingResponse(_chunks(file, start, stop), status, headers, media_type)


def _chunks(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
            start += len(chunk)
            yield chunk
