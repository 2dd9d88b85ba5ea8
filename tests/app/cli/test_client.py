"""The client against a scripted server, for what a real one cannot be made to do: break off, answer nonsense."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.cli.client import Client, ClientError
from app.cli.follow import follow

Script = list[tuple[int, str, bytes]]


@pytest.fixture
def script() -> Script:
    """Answers, in order: status, content type, body. The last one is repeated."""
    return []


@pytest.fixture
def asked() -> list[SimpleNamespace]:
    """What the server was asked."""
    return []


@pytest.fixture
def client(script: Script, asked: list[SimpleNamespace]) -> Iterator[Client]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(SimpleNamespace(path=self.path, headers=self.headers))
            status, kind, body = script.pop(0) if len(script) > 1 else script[0]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if kind == "image/png":
                self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}", "secret") as value:
            yield value
        server.shutdown()
        thread.join()


def event(identity: str, kind: str, data: object) -> bytes:
    return f": heartbeat\n\nid: {identity}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def run(state: str, **more: object) -> tuple[int, str, bytes]:
    value = {"state": state, "queue_position": None, "error": None} | more
    return 200, "application/json", json.dumps(value).encode()


def tick(kimg: float) -> dict[str, object]:
    return {
        "kimg": kimg,
        "total_kimg": 2.0,
        "fraction": kimg / 2,
        "epoch": kimg / 4,
        "loss_d": 1.25,
        "loss_g": 0.75,
        "d_real": 0.5,
        "d_fake": None,
        "images_per_second": 1234.5,
    }


def test_a_problem_is_told_with_each_error_and_its_place(client: Client, script: Script) -> None:
    problem = {
        "title": "Invalid request",
        "detail": "2 errors",
        "errors": [{"loc": ["body", "overrides", "lr"], "msg": "no such setting"}, {"loc": ["query", 0], "msg": "odd"}],
    }
    script.append((422, "application/problem+json", json.dumps(problem).encode()))

    with pytest.raises(ClientError) as refusal:
        client.get("/train")

    assert str(refusal.value) == "Invalid request: 2 errors\n  body.overrides.lr: no such setting\n  query.0: odd"


def test_an_error_that_is_no_problem_document_is_told_by_its_status(client: Client, script: Script) -> None:
    script.append((502, "text/html", b"<h1>proxy</h1>"))

    with pytest.raises(ClientError, match="502 Bad Gateway: <h1>proxy</h1>"):
        client.get("/models")


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_another_service_at_the_address_is_told(client: Client, script: Script, body: bytes) -> None:
    script.append((200, "text/html", body))

    with pytest.raises(ClientError, match="is it an Atelier"):
        client.get("/models")


def test_a_key_and_only_given_parameters_are_sent(client: Client, script: Script, asked: list[SimpleNamespace]) -> None:
    script.append((200, "application/json", b"{}"))

    client.get("/samples", n=3, seed=None)

    assert asked[0].path == "/samples?n=3"
    assert asked[0].headers["Authorization"] == "Bearer secret"


def test_a_list_is_read_to_its_end(client: Client, script: Script, asked: list[SimpleNamespace]) -> None:
    script.append((200, "application/json", b'{"items": [{"id": 1}], "next": "abc"}'))
    script.append((200, "application/json", b'{"items": [{"id": 2}], "next": null}'))

    assert [item["id"] for item in client.items("/train", state="running")] == [1, 2]
    assert [request.path for request in asked] == ["/train?state=running", "/train?state=running&cursor=abc"]


def test_a_download_that_breaks_off_leaves_no_file(client: Client, script: Script, tmp_path: Path) -> None:
    script.append((200, "image/png", b"half"))

    with pytest.raises(ClientError, match="did not respond properly"):
        client.download("/samples", tmp_path / "grid.png")

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(client: Client, script: Script, tmp_path: Path) -> None:
    script.append((200, "image/webp", b"picture"))

    with pytest.raises(ClientError, match=r"nowhere/grid.png could not be written: No such file or directory"):
        client.download("/samples", tmp_path / "nowhere" / "grid.png")


def test_a_broken_stream_goes_on_after_the_last_event_seen(
    client: Client, script: Script, asked: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.client.RECONNECT_SECONDS", 0)
    script.append((200, "text/event-stream", event("1.1", "state", {"state": "running"})))
    script.append((200, "text/event-stream", event("1.2", "state", {"state": "succeeded"})))
    stream = client.events("/train/a/events")

    assert [(message.id, message.data["state"]) for message in (next(stream), next(stream))] == [
        ("1.1", "running"),
        ("1.2", "succeeded"),
    ]
    assert [request.headers["Last-Event-ID"] for request in asked] == [None, "1.1"]
    stream.close()


def test_following_tells_states_figures_and_versions_and_gives_how_it_ended(
    client: Client, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.append(
        (
            200,
            "text/event-stream",
            event("1.1", "state", {})
            + event("1.2", "tick", tick(1.0))
            + event("1.3", "tick", tick(1.01))
            + event("1.4", "published", {"model": "digits", "version": 3})
            + event("1.5", "state", {}),
        )
    )
    script.append(run("running"))
    script.append(run("failed", error="the data set is gone"))

    assert follow(client, "a") == "failed"

    assert capsys.readouterr().out.splitlines() == [
        "running",
        " 50%  kimg 1/2  epoch 0.25  D 1.250  G 0.750  D(x) 0.500  D(G(z)) -  1,234 images/s",
        "published digits@3",
        "failed: the data set is gone",
    ]
