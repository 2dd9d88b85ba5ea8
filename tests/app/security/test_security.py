"""Keys, scopes, sessions, and what a foreign web page may not do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import AppSettings
from app.state import UnsafeStart
from models.records import Records, Scope
from tests.fixtures.runs import Harness
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until

OPEN = {("GET", "/session"), ("POST", "/session"), ("DELETE", "/session"), ("GET", "/healthz"), ("GET", "/readyz")}


def first_key(data_dir: Path, *scopes: Scope) -> str:
    """Make a key before the service starts, as `atelier keys add` does."""
    with closing(Records(f"sqlite:///{data_dir / 'atelier.db'}")) as records:
        records.migrate()
        return records.add_key("first", scopes)[1]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys."""
    data_dir = tmp_path_factory.mktemp("keyed")
    first_key(data_dir, "sample")
    with serving(data_dir, auth="on", origins="https://friend.example") as service:
        yield service


def add_key(service: Service, *scopes: str) -> str:
    """Make a key while the service runs, and have it read at once."""
    app_state = service.app.state.atelier
    _, key = app_state.records.add_key("tester", scopes)
    app_state.authenticator.load(app_state.records.key_hashes())
    return str(key)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _operations() -> list[tuple[str, str]]:
    schema = create_app(AppSettings()).openapi()
    return [(method.upper(), path) for path, methods in schema["paths"].items() for method in methods]


@pytest.mark.parametrize(("method", "path"), [o for o in _operations() if o not in OPEN])
def test_every_route_needs_a_key_and_a_scope(keyed: Service, method: str, path: str) -> None:
    filled = re.sub(r"\{\w+\}", "1", path)
    refused = keyed.client.request(method, filled)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    scope = "admin" if "aliases" in path or method == "DELETE" else "sample" if _for_samples(path) else "train"
    others = {"sample", "train", "admin"} - {scope}
    beyond = keyed.client.request(method, filled, headers=bearer(add_key(keyed, *others)))
    assert beyond.status_code == 403
    assert f'"{scope}"' in beyond.json()["detail"]
    # Event streams have no end: the status is all there is to wait for.
    with keyed.client.stream(method, filled, headers=bearer(add_key(keyed, scope)), json={}) as allowed:
        assert allowed.status_code not in (401, 403)


def _for_samples(path: str) -> bool:
    if path.endswith("/neighbours.png"):  # holds images that were trained on
        return False
    return path.startswith(("/samples", "/grid", "/walk", "/models", "/metrics"))


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/nowhere"])
def test_all_other_paths_need_any_key(keyed: Service, path: str) -> None:
    assert keyed.client.get(path).status_code == 401
    assert keyed.client.get(path, headers=bearer(add_key(keyed, "sample"))).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/", "/play", "/runs/1k0", "/web/docs.js", "/healthz", "/session"])
def test_page_and_health_are_open(keyed: Service, path: str) -> None:
    assert keyed.client.get(path).status_code == 200
    assert keyed.client.get(path, headers=bearer("wrong")).status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic dXNlcjpwYXNz", "Bearer é"])
def test_key_that_does_not_hold_is_401(keyed: Service, header: str) -> None:
    answer = keyed.client.get("/presets", headers={b"authorization": header.encode()})
    assert answer.status_code == 401


def test_revoked_key_and_its_session_end(keyed: Service) -> None:
    app_state = keyed.app.state.atelier
    key_id, key = app_state.records.add_key("soon gone", ["train"])
    app_state.authenticator.load(app_state.records.key_hashes())
    with httpx.Client(base_url=keyed.url) as browser:
        browser.post("/session", json={"key": key})
        assert browser.get("/presets").status_code == 200
        app_state.records.revoke_key(key_id)
        until(lambda: browser.get("/presets").status_code == 401, "the key to be forgotten", seconds=20)
        assert browser.get("/presets", headers=bearer(key)).status_code == 401


def test_key_is_traded_for_a_cookie_that_scripts_cannot_read(keyed: Service) -> None:
    key = add_key(keyed, "train")
    with httpx.Client(base_url=keyed.url) as browser:
        assert browser.get("/session").json() == {"required": True, "name": None, "scopes": []}
        signed_in = browser.post("/session", json={"key": key})
        assert signed_in.json() == {"required": True, "name": "tester", "scopes": ["train"]}
        cookie = signed_in.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
        assert key not in cookie
        assert browser.get("/presets").status_code == 200
        assert browser.get("/models").status_code == 403
        stolen = browser.cookies["atelier_session"]
        assert browser.delete("/session").status_code == 204
        assert browser.get("/presets").status_code == 401
        browser.cookies.set("atelier_session", stolen)
        assert browser.get("/presets").status_code == 401


def test_signing_in_with_a_wrong_key_is_401(keyed: Service) -> None:
    assert httpx.post(f"{keyed.url}/session", json={"key": "wrong"}).status_code == 401


def test_keys_hold_while_the_database_is_away(tmp_path: Path) -> None:
    key = first_key(tmp_path, "sample", "train")
    with serving(tmp_path, auth="on") as service:
        (tmp_path / "atelier.db").rename(tmp_path / "away.db")
        (tmp_path / "atelier.db").mkdir()
        service.app.state.atelier.records.close()
        assert service.client.get("/presets", headers=bearer(key)).status_code == 200
        assert service.client.get("/train", headers=bearer(key)).status_code == 503


def test_keys_that_could_not_be_read_yet_are_503(tmp_path: Path) -> None:
    with serving(tmp_path, auth="on", database_url="postgresql://nobody@127.0.0.1:1/none") as service:
        answer = service.client.get("/presets", headers=bearer("any"))
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert service.client.get("/presets").status_code == 401
        assert service.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "atelier.example"])
def test_open_address_without_keys_refuses_to_start(tmp_path: Path, host: str) -> None:
    app_state = create_app(AppSettings(data_dir=tmp_path, host=host)).state.atelier
    with pytest.raises(UnsafeStart, match="atelier keys add"):
        app_state.open_database()
    app_state.records.add_key("somebody", ["sample"])
    app_state.open_database()
    app_state.records.close()


@pytest.mark.parametrize(("host", "auth"), [("127.0.0.1", "auto"), ("::1", "auto"), ("0.0.0.0", "off")])
def test_loopback_or_explicit_openness_needs_no_keys(tmp_path: Path, host: str, auth: str) -> None:
    app_state = create_app(AppSettings.model_validate({"data_dir": tmp_path, "host": host, "auth": auth})).state.atelier
    app_state.open_database()
    assert not app_state.authenticator.required
    app_state.records.close()


# What a foreign web page may not do, keyless loopback included.


def test_rebound_name_is_refused(harness: Harness) -> None:
    for host in (
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a@127.0.0.1",
    ):
        answer = harness.http.get("/train", headers={"host": host})
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1:80", "[::1]:8000", "LOCALHOST", "127.0.0.2"])
def test_own_names_are_known_on_any_port(harness: Harness, host: str) -> None:
    assert harness.http.get("/train", headers={"host": host}).status_code == 200


def test_foreign_address_is_refused_on_loopback_and_known_beyond(harness: Harness, tmp_path: Path) -> None:
    headers = {"host": "192.0.2.7:8000"}
    assert harness.http.get("/healthz", headers=headers).status_code == 403
    with serving(tmp_path, host="0.0.0.0", auth="off") as service:
        assert service.client.get("/healthz", headers=headers).status_code == 200
        assert service.client.get("/healthz", headers={"host": "evil.example"}).status_code == 403


def test_allowed_host_is_known(tmp_path: Path) -> None:
    with serving(tmp_path, allowed_hosts="Atelier.example, other.example") as service:
        assert service.client.get("/healthz", headers={"host": "atelier.example:8000"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_foreign_origin_is_refused(harness: Harness, origin: str) -> None:
    run = harness.train()
    assert harness.http.post(f"/train/{run}/cancel", headers={"origin": origin}).status_code == 403
    assert harness.read(run)["state"] == "queued"


def test_own_origin_passes(harness: Harness) -> None:
    headers = {"origin": harness.service.url, "sec-fetch-site": "same-origin"}
    assert harness.http.post("/train", json={"preset": "mlp-mnist"}, headers=headers).status_code == 202


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_request_from_a_page_elsewhere_is_refused(harness: Harness, site: str) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert harness.http.get("/presets", headers=headers).status_code == 403


def test_link_to_the_page_may_be_followed_and_to_nothing_else(harness: Harness) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for path in ("/", "/play?seed=7", "/data/cats", "/docs"):
        assert harness.http.get(path, headers=headers).status_code == 200
    assert harness.http.get("/presets", headers=headers).status_code == 403
    assert harness.http.get("/", headers={**headers, "sec-fetch-dest": "iframe"}).status_code == 403


def test_allowed_origin_may_call_and_read(keyed: Service) -> None:
    origin = {"origin": "https://friend.example", "sec-fetch-site": "cross-site"}
    wish = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = keyed.client.options("/train", headers=origin | wish)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://friend.example"
    answer = keyed.client.get("/presets", headers=origin | bearer(add_key(keyed, "train")))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://friend.example"
    assert "X-Atelier-Seed" in answer.headers["access-control-expose-headers"]
    refused = keyed.client.options("/train", headers={"origin": "https://evil.example"} | wish)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_browsers_are_told_what_not_to_do(harness: Harness) -> None:
    headers = harness.http.get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("allowed_hosts", "http://a.example", "no host name"),
        ("origins", "a.example", "not an origin"),
        ("auth", "maybe", "'on'"),
    ],
)
def test_setting_that_would_not_protect_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AppSettings.model_validate({name: value})
