"""Limit of the request body's size: 413 beyond it, before or while the body is read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import header
from app.http.problems import Problem, phrase


class BodyLimit:
    """ASGI middleware: limits bodies to `max_bytes`, with and without Content-Length.

    `uploads` maps (method, path) to limits of their own.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, uploads: Mapping[tuple[str, str], int]) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.uploads.get((scope["method"], scope["path"]), self.max_bytes)
        length = header(scope, b"content-length")
        if length is not None and not (length.isdecimal() and int(length) <= limit):
            await Problem(413, phrase(413), _detail(limit)).response()(scope, receive, send)
            return
        received = 0

        # Without Content-Length the size is known only while the body is read.
        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _detail(limit))
            return message

        await self.app(scope, counting, send)


def _detail(limit: int) -> str:
    return f"the request's body is larger than {limit:,} bytes, the limit here"
