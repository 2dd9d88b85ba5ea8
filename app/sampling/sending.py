"""Answers on their way out: in chunks, each of which waits until the one before has gone, so that a client that reads
slowly costs the server one chunk of memory beside the answer itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Send

from app.sampling.asks import RawHeaders

CHUNK = 1 << 16
"""What a server buffers of an answer anyway: uvicorn's high-water mark."""


class Stalled(Exception):
    """The client has taken nothing for so long that it is given up."""


async def send_empty(send: Send, status: int, headers: RawHeaders) -> None:
    """Send an answer without a body: nothing is held for it, so it may wait as long as its connection lasts."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def send_small(send: Send, headers: RawHeaders, body: bytes) -> None:
    """Send an answer of one chunk with its length; waits as `send_empty` does."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


class Outgoing:
    """An answer of any size.

    Args:
        headers: all but its length.
        stall_seconds: give the client up when it takes nothing for so long.
    """

    def __init__(self, send: Send, headers: RawHeaders, stall_seconds: float) -> None:
        self._send = send
        self._headers = headers
        self._stall_seconds = stall_seconds
        self.started = False
        """Something was handed to the server: no other answer can be given."""

    async def whole(self, body: bytes) -> None:
        """Send it all.

        Raises:
            Stalled: the client takes nothing.
        """
        if len(body) <= CHUNK:
            await self._taken(send_small(self._send, self._headers, body))
            return
        await self.start(len(body))
        await self.write(body)
        await self.end()

    async def start(self, length: int | None) -> None:
        """Send the headers, and the length if it is known; errors as in `whole`."""
        known = [] if length is None else [(b"content-length", str(length).encode())]
        await self._taken(
            self._send({"type": "http.response.start", "status": 200, "headers": [*self._headers, *known]})
        )

    async def write(self, data: bytes) -> None:
        """Send some of the body; errors as in `whole`."""
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            await self._taken(self._send({"type": "http.response.body", "body": chunk, "more_body": True}))

    async def end(self) -> None:
        """Say that this was all; errors as in `whole`."""
        await self._taken(self._send({"type": "http.response.body", "body": b""}))

    async def _taken(self, sending: Awaitable[None]) -> None:
        """Wait until the server has room for it: any message may find the connection full of those before it."""
        self.started = True
        try:
            async with asyncio.timeout(self._stall_seconds):
                await sending
        except TimeoutError:
            raise Stalled(f"the client took nothing for {self._stall_seconds:g} s") from None
