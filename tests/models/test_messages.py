"""Redis addresses, as two libraries spell them, against a real server in a folder with a blank in its name."""

from __future__ import annotations

import pytest
import redis
from kombu.connection import Connection

from models.broker import broker_url, client_url
from tests.fixtures.redis import RedisServer


@pytest.mark.parametrize(("scheme", "option"), [("unix", "db"), ("redis+socket", "virtual_host")])
def test_unix_socket_is_spelt_for_both_libraries(redis_server: RedisServer, scheme: str, option: str) -> None:
    assert "%20" in redis_server.url
    url = redis_server.url.replace("unix", scheme) + f"?{option}=3"
    with Connection(broker_url(url)) as broker, broker.SimpleQueue(scheme) as queue:  # type: ignore[no-untyped-call]
        queue.put("look")
    with redis.Redis.from_url(client_url(url)) as client:
        assert client.connection_pool.connection_kwargs["db"] == 3
        assert client.llen(scheme) == 1


def test_tcp_address_is_left_alone() -> None:
    url = "rediss://:secret@redis.example:6380/2"
    assert broker_url(url) == client_url(url) == url
