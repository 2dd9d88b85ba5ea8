"""Cached and shared responses over real HTTP, with the device blocked where it must not work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from app.state import AppState
from models.records import Records
from tests.fixtures.models import write_version
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until


def state_of(service: Service) -> AppState:
    app_state = service.app.state.atelier
    assert isinstance(app_state, AppState)
    return app_state


@contextmanager
def device_blocked(service: Service) -> Iterator[None]:
    """Let nothing be generated meanwhile."""
    batcher = state_of(service).engine._batcher
    began, over = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        began.set()
        over.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(batcher.run_background, hold)
        assert began.wait(60)
        try:
            yield
        finally:
            over.set()


def waiters(service: Service) -> int:
    return sum(call.waiters for call in state_of(service).single_flight._calls.values())


def queued(service: Service) -> int:
    return len(state_of(service).engine._batcher._queue)


def opened(service: Service, path: str) -> socket.socket:
    """Ask by a socket of its own, which can be closed before the answer comes."""
    host, port = service.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("query", ["n=4&seed=1", "n=4&seed=1&format=npy", "n=4&seed=1&format=zip", "n=900&seed=1"])
def test_the_same_request_again_needs_no_device(service: Service, query: str) -> None:
    first = service.client.get(f"/samples?{query}")
    state_of(service).engine._batcher.stop()
    again = service.client.get(f"/samples?{query}")
    assert (again.status_code, again.content) == (200, first.content)
    kept = ("ETag", "Content-Type", "Content-Length", "Cache-Control", "Vary", "X-Atelier-Model", "X-Atelier-Seed")
    assert [again.headers.get(name) for name in kept] == [first.headers.get(name) for name in kept]
    head = service.client.head(f"/samples?{query}")
    assert (head.status_code, head.headers["ETag"]) == (200, first.headers["ETag"])
    known = service.client.get(f"/samples?{query}", headers={"If-None-Match": first.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_what_names_no_seed_is_generated_every_time(service: Service) -> None:
    bodies = {service.client.get("/samples?n=4").content for _ in range(3)}
    assert len(bodies) == 3
    assert state_of(service).answer_cache.bytes == 0


def test_accept_is_looked_at_again_for_a_known_query(shared_service: Service) -> None:
    for accept, content_type in [("image/png", "image/png"), ("image/webp", "image/webp")] * 2:
        answer = shared_service.client.get("/samples?n=4&seed=8", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == content_type
    assert shared_service.client.get("/samples?n=4&seed=8", headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.parametrize("query", ["n=0", "sed=7&n=4", "n=4&model=digits&class=3", "n=4097"])
def test_what_is_refused_is_refused_again(shared_service: Service, query: str) -> None:
    answers = [shared_service.client.get(f"/samples?{query}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422] * 3
    assert answers[0].content == answers[1].content == answers[2].content


def test_an_alias_that_moves_takes_the_answer_along(service: Service, model_root: Path) -> None:
    query = "/samples?n=4&seed=1&model=digits"
    before = service.client.get(query)
    assert service.client.get(query).content == before.content
    write_version(model_root, "digits", 2, seed=5)
    until(lambda: service.client.get(query).headers["X-Atelier-Model"] == "digits@2", "the new version to serve")
    after = service.client.get(query)
    assert after.content != before.content
    assert after.headers["ETag"] != before.headers["ETag"]
    assert service.client.get(query, headers={"If-None-Match": before.headers["ETag"]}).content == after.content


def test_a_deleted_version_is_404_although_its_response_is_cached(service: Service, model_root: Path) -> None:
    write_version(model_root, "digits", 2, seed=5)
    until(lambda: service.client.get("/readyz").json()["detail"].startswith("digits@2"), "the new version to serve")
    query = "/samples?n=4&seed=1&model=digits@1"
    assert service.client.get(query).status_code == 200
    assert service.client.delete("/models/digits@1").status_code == 204
    assert service.client.get(query).status_code == 404


def test_a_key_without_the_scope_is_refused_what_another_was_given(tmp_path: Path, model_root: Path) -> None:
    with closing(Records(f"sqlite:///{tmp_path / 'atelier.db'}")) as records:
        records.migrate()
        secrets = {scope: records.add_key(scope, (scope,))[1] for scope in ("sample", "train")}
    query = "/samples?n=4&seed=1&model=digits@1"
    with serving(tmp_path, model_dir=model_root, auth="on") as service:
        allowed = {"Authorization": f"Bearer {secrets['sample']}"}
        for _ in range(2):
            answer = service.client.get(query, headers=allowed)
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        refused = service.client.get(query, headers={"Authorization": f"Bearer {secrets['train']}"})
        assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
        assert service.client.get(query).status_code == 401


def test_many_requests_for_the_same_body_compute_it_once(service: Service) -> None:
    query = service.url + "/samples?n=4&seed=1"
    with ThreadPoolExecutor(5) as clients:
        with device_blocked(service):
            answers = [clients.submit(httpx.get, query, timeout=60) for _ in range(5)]
            until(lambda: waiters(service) == 5, "everybody to wait")
            assert queued(service) == 1
        bodies = {answer.result().content for answer in answers}
    assert len(bodies) == 1
    assert state_of(service).engine.admission.bytes == 0


def test_who_leaves_takes_nothing_from_those_who_stay(service: Service) -> None:
    path = "/samples?n=4&seed=1"
    with ThreadPoolExecutor(1) as clients, device_blocked(service):
        leaving = opened(service, path)
        until(lambda: waiters(service) == 1, "the first to wait")
        staying: Future[httpx.Response] = clients.submit(httpx.get, service.url + path, timeout=60)
        until(lambda: waiters(service) == 2, "both to wait")
        leaving.close()
        until(lambda: waiters(service) == 1, "the first to leave")
        assert queued(service) == 1
    assert staying.result().status_code == 200


def test_when_all_clients_have_left_nothing_is_generated(service: Service) -> None:
    with device_blocked(service):
        clients = [opened(service, "/samples?n=4&seed=1") for _ in range(3)]
        until(lambda: waiters(service) == 3, "everybody to wait")
        for client in clients:
            client.close()
        until(lambda: not state_of(service).single_flight._calls, "everybody to leave")
        assert state_of(service).engine.admission.bytes == 0
    assert state_of(service).answer_cache.bytes == 0
    assert service.client.get("/samples?n=4&seed=1").status_code == 200


def test_an_error_reaches_everybody_who_waits(service: Service) -> None:
    query = service.url + "/samples?n=4&seed=1"
    batcher = state_of(service).engine._batcher
    with ThreadPoolExecutor(4) as clients:
        with device_blocked(service):
            answers = [clients.submit(httpx.get, query, timeout=60) for _ in range(3)]
            until(lambda: waiters(service) == 3, "everybody to wait")
            stopping = clients.submit(batcher.stop)
            until(lambda: batcher._stopping, "the engine to be told to stop")
        stopping.result()
        assert [answer.result().status_code for answer in answers] == [503] * 3


def test_images_in_flight_are_bounded_and_cached_responses_are_sent_all_the_same(
    tmp_path: Path, model_root: Path
) -> None:
    with serving(tmp_path, model_dir=model_root, max_flight_bytes=1 << 20) as service:
        service.ready()
        kept = service.client.get("/samples?n=4&seed=1").content
        with ThreadPoolExecutor(1) as clients, device_blocked(service):
            large = clients.submit(httpx.get, service.url + "/samples?n=1200&seed=1", timeout=60)
            until(lambda: waiters(service) == 1, "the large picture to be let in")
            for query in ("n=1200&seed=2", "n=4000&seed=1&format=npy", "n=4000&seed=1&format=zip"):
                refused = service.client.get(f"/samples?{query}")
                assert refused.status_code == 503
                assert 1 <= int(refused.headers["Retry-After"]) <= 60
            assert service.client.get("/samples?n=4&seed=1").content == kept
        assert large.result().status_code == 200


@pytest.mark.parametrize("query", ["n=4096&model=petals&format=npy", "n=1024&model=petals&scale=4&nrow=32"])
def test_a_client_that_reads_nothing_is_given_up(tmp_path: Path, model_root: Path, query: str) -> None:
    with serving(tmp_path, model_dir=model_root, stall_seconds=0.3) as service:
        service.ready()
        with opened(service, f"/samples?seed=1&{query}"):
            until(lambda: state_of(service).engine.admission.bytes > 0, "the request to be let in")
            until(lambda: state_of(service).engine.admission.bytes == 0, "the client to be given up")
        assert service.client.get("/samples?n=1").status_code == 200
