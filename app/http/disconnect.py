"""Disconnect monitor: cancels work whose client has closed the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from app.http.problems import Problem

T = TypeVar("T")

# Most responses are ready within this time, and watching for a disconnect costs more than it saves before.
GRACE_SECONDS = 0.05


class ClientDisconnected(Problem):
    """The client closed the connection: ends the request, counted as status 499; no response is sent."""

    def __init__(self) -> None:
        super().__init__(499, "Client Closed Request", "the client disconnected before the response was ready")


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, and cancel it if the client disconnects.

    Raises:
        ClientDisconnected: it did.
        HTTPException: its body exceeds the limit.
    """
    task = asyncio.create_task(work)
    try:
        return await wait_unless_disconnected(receive, task)
    finally:
        task.cancel()


async def wait_unless_disconnected(receive: Receive, work: asyncio.Future[T]) -> T:
    """Wait for shared `work`, which continues if this client disconnects.

    Raises:
        ClientDisconnected: it did.
        HTTPException: its body exceeds the limit.
    """
    await asyncio.wait((work,), timeout=GRACE_SECONDS)
    if not work.done():
        disconnect = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((work, disconnect), return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnect.cancel()
    if not work.done():
        disconnect.result()
        raise ClientDisconnected
    return work.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
