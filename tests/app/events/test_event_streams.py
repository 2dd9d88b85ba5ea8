"""Server-sent events: complete, resumable, and without Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import redis

from models import broker
from models.artifacts.events import EventWriter
from models.records import Claim
from tests.fixtures.hostile import RED, zipped
from tests.fixtures.redis import RedisServer
from tests.fixtures.runs import Harness, write_tick
from tests.fixtures.service import serving

Message = dict[str, Any]


def parse(lines: Iterator[str]) -> Iterator[Message]:
    """Read events as a browser would; comments and reconnection times are no events."""
    message: Message = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "":
            if "data" in message:
                yield {**message, "data": json.loads(message["data"])}
            message = {}
        elif name in ("event", "data", "id"):
            message[name] = value


@contextmanager
def listening(http: httpx.Client, path: str, last: str | None = None) -> Iterator[Iterator[Message]]:
    headers = {"last-event-id": last} if last else {}
    with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parse(answer.iter_lines())


def test_stream_begins_with_the_state_and_goes_on_with_the_history(harness: Harness) -> None:
    run_id = harness.train()
    attempt = harness.attempt(run_id, harness.claim(run_id).token)
    write_tick(attempt, 1000)
    with listening(harness.http, f"/train/{run_id}/events") as messages_:
        state, tick = next(messages_), next(messages_)
        assert (state["event"], "id" in state, state["data"]["state"]) == ("state", False, "running")
        assert state["data"]["progress"]["kimg"] == 1.0
        assert (tick["event"], tick["id"], tick["data"]["kimg"]) == ("tick", "1.1", 1.0)
        assert tick["data"]["run"] == run_id
        write_tick(attempt, 2000)
        assert next(messages_)["data"]["kimg"] == 2.0


def test_change_of_the_row_alone_is_told_without_an_id(harness: Harness) -> None:
    run_id = harness.train()
    with listening(harness.http, f"/train/{run_id}/events") as messages_:
        assert next(messages_)["data"]["state"] == "queued"
        harness.http.post(f"/train/{run_id}/pause")
        paused = next(messages_)
        assert (paused["event"], "id" in paused, paused["data"]["state"]) == ("state", False, "paused")


def test_reconnection_goes_on_after_the_last_event(harness: Harness) -> None:
    run_id = harness.train()
    attempt = harness.attempt(run_id, harness.claim(run_id).token)
    for images in (1000, 2000):
        write_tick(attempt, images)
    EventWriter(harness.attempt(run_id, 2, 2000)).append("log", {"line": "resumed"})
    with listening(harness.http, f"/train/{run_id}/events", last="1.1") as messages_:
        ids = [message["id"] for _ in range(3) if "id" in (message := next(messages_))]
    assert ids == ["1.2", "2.1"]


def test_stream_of_an_ended_run_ends_and_says_not_to_come_back(harness: Harness) -> None:
    run_id = harness.train()
    token = harness.claim(run_id).token
    write_tick(harness.attempt(run_id, token), 1000)
    harness.app_state.records.release_run(Claim("run", run_id, token), "succeeded")
    with listening(harness.http, f"/train/{run_id}/events") as messages_:
        assert [(message["event"], message.get("id")) for message in messages_] == [("state", None), ("tick", "1.1")]
    assert harness.http.get(f"/train/{run_id}/events", headers={"last-event-id": "1.1"}).status_code == 204


def test_stream_tells_the_end_of_a_run_and_closes(harness: Harness) -> None:
    run_id = harness.train()
    token = harness.claim(run_id).token
    attempt = harness.attempt(run_id, token)
    with listening(harness.http, f"/train/{run_id}/events") as messages_:
        assert next(messages_)["data"]["state"] == "running"
        write_tick(attempt, 60_000)
        harness.app_state.records.release_run(Claim("run", run_id, token), "failed", error="the disk is full")
        rest = list(messages_)
    assert [message["event"] for message in rest] == ["tick", "state"]
    assert (rest[-1]["data"]["state"], rest[-1]["data"]["error"]) == ("failed", "the disk is full")


def test_senseless_last_event_id_is_422(harness: Harness) -> None:
    run_id = harness.train()
    assert harness.http.get(f"/train/{run_id}/events", headers={"last-event-id": "latest"}).status_code == 422


def test_all_runs_share_one_stream(harness: Harness) -> None:
    first = harness.train(model="first")
    attempt = harness.attempt(first, harness.claim(first).token)
    write_tick(attempt, 1000)
    with listening(harness.http, "/events") as messages_:
        event = next(message for message in messages_ if message["data"].get("run") == first)
        assert (event["event"], event["data"]["state"]) == ("state", "running")
        second = harness.train(model="second")
        event = next(message for message in messages_ if message["data"].get("run") == second)
        assert (event["event"], event["data"]["state"]) == ("state", "queued")
        write_tick(attempt, 2000)
        assert next(message for message in messages_ if message["event"] == "tick")["data"]["kimg"] == 2.0


def test_new_version_is_told_to_all(tmp_path: Path, model_root: Path) -> None:
    with (
        serving(tmp_path, model_dir=model_root) as service,
        listening(service.client, "/events") as messages_,
    ):
        httpx.put(f"{service.url}/models/digits/aliases/mine", json={"version": 1}).raise_for_status()
        event = next(messages_)
        assert (event["event"], event["data"]["model"]) == ("model", "digits")
        assert event["data"]["aliases"] == {"latest": 1, "mine": 1}


def test_upload_and_deletion_of_a_data_set_are_told_to_all(harness: Harness) -> None:
    with listening(harness.http, "/events") as messages_:
        files = {"file": ("cats.zip", zipped({"a.png": RED}))}
        httpx.post(f"{harness.service.url}/datasets", data={"name": "cats"}, files=files).raise_for_status()
        event = next(message for message in messages_ if message["event"] == "dataset")["data"]
        assert (event["dataset"], event["state"], event["progress"]["done"]) == ("cats", "preparing", 0)
        httpx.delete(f"{harness.service.url}/datasets/cats").raise_for_status()
        event = next(message for message in messages_ if message["event"] == "dataset")["data"]
        assert event == {"dataset": "cats", "state": "deleted"}


def test_too_many_streams_are_503(tmp_path: Path) -> None:
    with serving(tmp_path, max_streams=1) as service, listening(service.client, "/events"):
        refused = httpx.get(f"{service.url}/events")
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


def test_hint_makes_news_arrive_at_once(tmp_path: Path, redis_server: RedisServer) -> None:
    with serving(tmp_path, redis_url=redis_server.url) as service:
        harness = Harness(service)
        run_id = harness.train()
        attempt = harness.attempt(run_id, harness.claim(run_id).token)
        with (
            listening(harness.http, f"/train/{run_id}/events") as messages_,
            redis.Redis.from_url(broker.client_url(redis_server.url)) as client,
        ):
            next(messages_)
            write_tick(attempt, 1000)
            client.publish(broker.CHANNEL, json.dumps({"run": run_id}))
            assert next(messages_)["event"] == "tick"
