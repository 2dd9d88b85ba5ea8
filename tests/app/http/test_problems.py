"""Errors leave as RFC 9457 problems, whatever went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import AppSettings
from tests.fixtures.runs import Harness
from tests.fixtures.service import serving


def check(answer: httpx.Response, status: int) -> dict[str, object]:
    """Check that an answer is a problem and give its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["status"] == status
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    return body


def test_unknown_path_is_404(harness: Harness) -> None:
    assert check(harness.http.get("/nowhere"), 404)["detail"] == "there is nothing at /nowhere"


def test_wrong_method_is_405_and_says_what_is_allowed(harness: Harness) -> None:
    answer = harness.http.patch("/presets")
    check(answer, 405)
    assert answer.headers["allow"] == "GET"


def test_malformed_json_is_422_and_says_where(harness: Harness) -> None:
    headers = {"content-type": "application/json"}
    body = check(harness.http.post("/train", content=b'{"preset": ', headers=headers), 422)
    assert body["errors"] == [{"loc": ["body", 11], "msg": "no valid JSON: Expecting value"}]


def test_unknown_body_field_is_422_and_named(harness: Harness) -> None:
    body = check(harness.http.post("/train", json={"preset": "mlp-mnist", "epoch": 3}), 422)
    assert body["errors"] == [{"loc": ["body", "epoch"], "msg": 'there is no field "epoch" here: check its spelling'}]


def test_body_where_none_belongs_is_422(harness: Harness) -> None:
    run = harness.train(model="bodies")
    check(harness.http.post(f"/train/{run}/cancel", json={"force": True}), 422)
    assert harness.read(run)["state"] == "queued"


def _operations() -> Iterator[tuple[str, str]]:
    schema = create_app(AppSettings()).openapi()
    return ((method.upper(), path) for path, methods in schema["paths"].items() for method in methods)


@pytest.mark.parametrize(("method", "path"), [*_operations(), ("GET", "/docs")])
def test_unknown_query_parameter_is_422_on_every_route(harness: Harness, method: str, path: str) -> None:
    filled = re.sub(r"\{(\w+)\}", lambda match: "1" if match[1] in ("version", "kimg") else "x", path)
    posted = {"key": "x"} if path == "/session" else {"preset": "mlp-mnist"}
    body = posted if method == "POST" else None
    answer = harness.http.request(method, filled, params={"surely_unknown": "1"}, json=body)
    errors = check(answer, 422)["errors"]
    assert isinstance(errors, list)
    assert ["query", "surely_unknown"] in [error["loc"] for error in errors]


def test_declared_large_body_is_413(harness: Harness) -> None:
    check(harness.http.post("/train", content=b" " * (2 << 20)), 413)


def test_large_body_in_pieces_is_413(harness: Harness) -> None:
    pieces = (b" " * (1 << 16) for _ in range(40))
    check(harness.http.post("/train", content=pieces, headers={"content-type": "application/json"}), 413)


def test_large_body_is_413_also_where_none_is_read(harness: Harness) -> None:
    check(harness.http.request("GET", "/nowhere", content=b" " * (2 << 20)), 413)


def test_crash_is_500_and_tells_nothing(tmp_path: Path) -> None:
    def crash() -> None:
        raise RuntimeError("the secret is 42")

    with serving(tmp_path) as service:
        service.app.add_api_route("/crash", crash)
        answer = service.client.get("/crash")
        check(answer, 500)
        assert "42" not in answer.text
        assert "RuntimeError" not in answer.text
        # On another connection: after a crash the server closes the one it happened on.
        assert httpx.get(f"{service.url}/healthz").status_code == 200


def test_database_away_is_503_and_says_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none") as service:
        for answer in (service.client.get("/train"), service.client.post("/train", json={"preset": "mlp-mnist"})):
            check(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        assert service.client.get("/presets").status_code == 200
        assert service.client.get("/readyz").json()["database"] == "away"
