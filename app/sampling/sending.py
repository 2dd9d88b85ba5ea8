"""Response bodies sent in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Send

from app.sampling.plan import RawHeaders

# uvicorn's high-water mark: the server buffers this much of a response anyway.
# Each chunk is sent after the previous one was taken: a slow reader costs one chunk of buffer.
CHUNK_BYTES = 1 << 16


class ClientStalled(Exception):
    """The client has read nothing for too long; the response is aborted."""


async def send_empty(send: Send, status: int, headers: RawHeaders) -> None:
    """Send a response without a body, without a time limit."""
    # It holds no memory, so it may take as long as the connection lasts.
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def send_small(send: Send, headers: RawHeaders, body: bytes) -> None:
    """Send a body of at most one chunk, with its length; without a time limit, as in `send_empty`."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


class BodyWriter:
    """Sends a response of any size. Every method may raise `ClientStalled`.

    Args:
        headers: all but the length.
        stall_seconds: abort when the client reads nothing for this long.
    """

    def __init__(self, send: Send, headers: RawHeaders, stall_seconds: float) -> None:
        self._send = send
        self._headers = headers
        self._stall_seconds = stall_seconds
        # Something was handed to the server: no other response can be sent instead.
        self.started = False

    async def whole(self, body: bytes) -> None:
        if len(body) <= CHUNK_BYTES:
            await self._within_limit(send_small(self._send, self._headers, body))
            return
        await self.start(len(body))
        await self.write(body)
        await self.end()

    async def start(self, length: int | None) -> None:
        """Send the headers, with the length if known."""
        known = [] if length is None else [(b"content-length", str(length).encode())]
        await self._within_limit(
            self._send({"type": "http.response.start", "status": 200, "headers": [*self._headers, *known]})
        )

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            await self._within_limit(self._send({"type": "http.response.body", "body": chunk, "more_body": True}))

    async def end(self) -> None:
        await self._within_limit(self._send({"type": "http.response.body", "body": b""}))

    async def _within_limit(self, sending: Awaitable[None]) -> None:
        # Any message may find the connection full of those before it, the headers too.
        self.started = True
        try:
            async with asyncio.timeout(self._stall_seconds):
                await sending
        except TimeoutError:
            raise ClientStalled(f"the client took nothing for {self._stall_seconds:g} s") from None
