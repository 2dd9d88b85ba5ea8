"""How large a request's body may be: beyond that it is refused with 413, before or while it is read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import header
from app.http.problems import Problem, phrase


class BodyLimit:
    """ASGI middleware: no body is larger than `max_bytes`, whether it says its length or comes in pieces.

    Uploads, by method and path, have limits of their own.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, uploads: Mapping[tuple[str, str], int]) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on and count what comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.uploads.get((scope["method"], scope["path"]), self.max_bytes)
        length = header(scope, b"content-length")
        if length is not None and not (length.isdecimal() and int(length) <= limit):
            await Problem(413, phrase(413), _detail(limit)).response()(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _detail(limit))
            return message

        await self.app(scope, counting, send)


def _detail(limit: int) -> str:
    return f"the request's body is larger than {limit:,} bytes, the most that is accepted here"
