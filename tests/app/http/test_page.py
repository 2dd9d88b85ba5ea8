"""The page as it is served: built, compressed, kept; one HTML for every view."""

from __future__ import annotations

import gzip
import json
import re
from html import unescape
from pathlib import Path

import pytest

from app.api.page import WEB
from app.http.static import Files, is_view
from app.http.typescript import render
from app.main import create_app
from app.settings import AppSettings
from tests.fixtures.runs import Harness

BUDGET = 150_000
"""Bytes of a first load, compressed."""


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    assert (WEB / "index.html").exists(), "the page is not built: run `make web`"


def _sources(html: str) -> list[str]:
    return [unescape(source) for source in re.findall(r'(?:src|href)="([^"#]+)"', html)]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_page_needs_nothing_from_elsewhere(harness: Harness, path: str) -> None:
    html = harness.http.get(path).text
    assert _sources(html)
    assert not [source for source in _sources(html) if source.startswith(("http", "//"))]
    for source in _sources(html):
        assert harness.http.get(source).status_code == 200, source
    assert "style=" not in html
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=", html), "inline scripts are forbidden by our own policy"


@pytest.mark.parametrize("path", ["/play?seed=7", "/runs", "/runs/1k0rd8pw5e8bvzn804ppmwkqcr", "/data", "/data/cats"])
def test_every_view_is_the_same_html_whatever_its_query(harness: Harness, path: str) -> None:
    answer = harness.http.get(path)
    assert answer.text == harness.http.get("/").text
    assert answer.headers["cache-control"] == "no-cache"


def test_paths_beside_the_views_are_not_there(harness: Harness) -> None:
    for path in ("/plays", "/data/cats/more", "/runs/a/b", "/web/nothing.js", "/web/../app/main.py"):
        assert harness.http.get(path).status_code == 404, path
        assert not is_view(path)


def test_first_load_is_small(harness: Harness) -> None:
    """The HTML and all that it names, as a browser gets them; the gallery's own code is loaded next and counted too."""
    asked = ["/", *(source for source in _sources(harness.http.get("/").text) if source.startswith("/web/"))]
    asked += [f"/web/assets/{path.name}" for path in WEB.glob("assets/Gallery-*") if path.suffix in (".js", ".css")]
    sizes = {}
    for path in asked:
        with harness.http.stream("GET", path, headers={"accept-encoding": "br"}) as answer:
            assert answer.headers["content-encoding"] == "br", path
            sizes[path] = len(b"".join(answer.iter_raw()))
    assert sum(sizes.values()) < BUDGET, sizes


def test_hashed_files_are_kept_for_ever_and_others_asked_about(harness: Harness) -> None:
    script = next(WEB.glob("assets/*.js")).name
    assert "immutable" in harness.http.get(f"/web/assets/{script}").headers["cache-control"]
    assert harness.http.get("/web/docs.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("br, gzip", "br"), ("gzip;q=1.0, br;q=0", "gzip"), ("identity", None), ("", None), ("brotli", None)],
)
def test_client_gets_the_encoding_that_it_takes(harness: Harness, accepted: str, encoding: str | None) -> None:
    plain = (WEB / "docs.js").read_bytes()
    with harness.http.stream("GET", "/web/docs.js", headers={"accept-encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "javascript" in answer.headers["content-type"]
    if encoding == "gzip":
        raw = gzip.decompress(raw)
    assert encoding == "br" or raw == plain


def test_page_that_is_here_already_is_not_sent_again(harness: Harness) -> None:
    tag = harness.http.get("/").headers["etag"]
    assert harness.http.get("/", headers={"if-none-match": tag}).status_code == 304


def test_checkout_without_a_build_says_what_to_do(
    tmp_path: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.page._files", Files(directory=tmp_path / "dist", check_dir=False))
    answer = harness.http.get("/play")
    assert answer.status_code == 503
    assert "make web" in answer.json()["detail"]


def test_schema_becomes_types_that_name_each_operation_and_body() -> None:
    schema = create_app(AppSettings()).openapi()
    text = render(schema)
    for path, methods in schema["paths"].items():
        for method in methods:
            assert f"  {json.dumps(f'{method.upper()} {path}')}: {{ path: " in text
    for name in re.findall(r'Schemas\["(\w+)"\]', text):
        assert f"\n  {name}: " in text
    assert '"GET /models/{name}@{reference}": { path: { name: string; reference: string };' in text
    assert "AliasTarget: { version: number };" in text
