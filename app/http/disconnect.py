"""Work for a client that may leave: what nobody waits for any more is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from app.http.problems import Problem

T = TypeVar("T")

GRACE_SECONDS = 0.05
"""So long nobody looks whether the client is still there: most answers are ready by then, and looking has its price."""


class ClientLeft(Problem):
    """The client hung up: nobody receives this; it ends the request, and counts as what it was."""

    def __init__(self) -> None:
        super().__init__(499, "Client Closed Request", "the client left before the answer was ready")


async def while_present(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, and cancel it when the client hangs up.

    Raises:
        ClientLeft: it did.
        HTTPException: it sends more than is accepted.
    """
    task = asyncio.create_task(work)
    try:
        return await present(receive, task)
    finally:
        task.cancel()


async def present(receive: Receive, work: asyncio.Future[T]) -> T:
    """Wait for what goes on whether this client stays or not.

    Raises:
        ClientLeft: it hung up.
        HTTPException: it sends more than is accepted.
    """
    await asyncio.wait((work,), timeout=GRACE_SECONDS)
    if not work.done():
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
    if not work.done():
        leaving.result()
        raise ClientLeft
    return work.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
