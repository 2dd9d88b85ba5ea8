"""Work for clients that leave, or turn out to ask for something else."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.http.disconnect import ClientDisconnected, cancel_on_disconnect


async def working() -> None:
    await asyncio.Event().wait()


def test_who_hangs_up_ends_the_work() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnected):
        asyncio.run(cancel_on_disconnect(receive, working()))


def test_a_body_that_is_refused_while_it_comes_is_told_so_and_not_that_it_left() -> None:
    async def receive() -> Message:
        raise HTTPException(413)

    with pytest.raises(HTTPException):
        asyncio.run(cancel_on_disconnect(receive, working()))
