"""Responses to clients that stop reading, at any message, seen from a server whose connection is full."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from starlette.types import Message, Scope

from tests.fixtures.models import write_models
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("impatient")
    write_models(folder / "models")
    with serving(folder, stall_seconds=0.05, answer_cache_bytes=0) as service:
        service.ready()
        yield service


def sent(service: Service, query: str, room: int) -> list[Message]:
    """Ask as a server does whose connection has room for some messages and then for nothing; give what it took."""
    taken: list[Message] = []
    scope: Scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/samples", "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", b"127.0.0.1")], "client": None, "server": None,
    }  # fmt: skip

    async def send(message: Message) -> None:
        if len(taken) == room:
            await asyncio.Event().wait()
        taken.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("the client says no more")

    async def answered() -> None:
        await service.app(scope, receive, send)

    asyncio.run_coroutine_threadsafe(answered(), service.app.state.atelier._loop).result(60)
    return taken


@pytest.mark.parametrize(
    "query", ["n=2", "n=900&model=petals&nrow=30", "n=1000&model=petals&format=npy", "n=500&model=petals&format=zip"]
)
def test_a_client_that_stops_at_any_message_is_given_up_without_a_crash(
    impatient: Service, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    admission = impatient.app.state.atelier.engine.admission
    whole = len(sent(impatient, f"seed=1&{query}", room=1000))
    with caplog.at_level(logging.INFO, "app.sampling"):
        for room in (0, 1, whole - 1):
            assert len(sent(impatient, f"seed=1&{query}", room)) == room
            until(lambda: admission.bytes == 0, "its memory to be given back")
    assert [record.levelname for record in caplog.records if "the client took nothing" in record.message] == [
        "INFO"
    ] * 3
