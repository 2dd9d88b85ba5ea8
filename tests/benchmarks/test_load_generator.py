"""The load generator against a server that answers in every way HTTP/1.1 allows."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.serving.load import LoadPlan, run

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.queries.append(query)  # type: ignore[attr-defined]
        getattr(self, path.strip("/"))()

    def whole(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("X-Atelier-Model", "digits@3")
        self.end_headers()
        self.wfile.write(BODY)

    def chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        dice, start = random.Random(1), 0
        while start < len(BODY):
            piece = BODY[start : start + dice.choice((1, 2, 3, 70_000))]
            start += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def empty(self) -> None:
        self.send_response(304)
        self.end_headers()

    def refused(self) -> None:
        self.send_response(503)
        self.send_header("retry-after", "2")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def broken(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.close_connection = True

    def silent(self) -> None:
        self.server.over.wait()  # type: ignore[attr-defined]
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.queries = []  # type: ignore[attr-defined]
    server.over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_path_is_asked_for_once_and_its_body_read_to_the_last_byte(server: ThreadingHTTPServer) -> None:
    paths = ["/whole", "/chunked", "/empty", "/refused", "/broken"] * 3

    outcome = run(LoadPlan(server.server_port, clients=2, paths=paths, digests=True))

    assert sorted(outcome.tags) == list(range(len(paths)))
    answers = zip(outcome.tags, outcome.status, outcome.size, outcome.digest, outcome.retry_after, strict=True)
    for tag, status, size, digest, retry_after in answers:
        match paths[tag]:
            case "/whole" | "/chunked":
                assert (status, size, digest) == (200, len(BODY), SHA256)
            case "/empty":
                assert (status, size) == (304, 0)
            case "/refused":
                assert (status, retry_after) == (503, True)
            case "/broken":
                assert status == 0
    assert {ref for tag, ref in zip(outcome.tags, outcome.model, strict=True) if paths[tag] == "/whole"} == {"digits@3"}


def test_clients_ask_again_with_another_seed_each_time(server: ThreadingHTTPServer) -> None:
    outcome = run(LoadPlan(server.server_port, clients=3, path="/whole?{seed}", seconds=0.1)).require(200)

    assert len(outcome.measured()) >= 6
    assert outcome.received > len(outcome.measured()) * len(BODY) / 2
    assert len(set(server.queries)) == len(server.queries) == len(outcome.status)  # type: ignore[attr-defined]


def test_requests_at_a_rate_do_not_wait_for_answers(server: ThreadingHTTPServer) -> None:
    outcome = run(LoadPlan(server.server_port, clients=5, path="/silent", seconds=0.2, rate=100.0))

    assert outcome.status == []
    assert len(outcome.waiting) == 5
    assert outcome.unsent > 0
