"""Screenshots of the page for the documentation: every view, light, dark and narrow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from tests.fixtures.browser import ROOT, looking
from tests.fixtures.harness import Harness
from tests.fixtures.pictures import shapes
from tests.fixtures.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.screenshots, pytest.mark.timeout(1800)]

KINDS: dict[str, dict[str, Any]] = {
    "light": {"scheme": "light"},
    "dark": {"scheme": "dark"},
    "narrow": {"scheme": "light", "width": 390, "height": 844},
}
VIEWS = {
    "gallery": "/",
    "play": "/play?model=digits&seed=7",
    "data": "/data",
    "dataset": "/data/shapes",
    "train": "/runs/new?dataset=shapes",
    "runs": "/runs",
    "run": "/runs/{run}",
}


@pytest.fixture(scope="module")
def run(studio: Harness, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run on digits and an uploaded data set."""
    archive = shapes(tmp_path_factory.mktemp("archive") / "shapes.zip")
    body = {
        "preset": "quick-28", "dataset": "mnist-mini", "model": "digits", "kimg": 100,
        "overrides": {"tick_kimg": 1, "snapshots": 25},
    }  # fmt: skip
    with httpx.Client(base_url=studio.url, timeout=60) as http:
        http.post("/datasets", data={"name": "shapes"}, files={"file": archive.read_bytes()})
        where = http.post("/train", json=body).headers["Location"]
        http.get("/datasets/mnist-mini")
        until(lambda: http.get(where).json()["state"] == "succeeded", "the run", 1200)
        until(lambda: http.get("/datasets/mnist-mini").json()["pictures"], "pictures of the digits")
        until(lambda: http.get("/datasets/shapes").json()["state"] == "ready", "the shapes")
    return where.removeprefix("/train/")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VIEWS)
def test_screenshot_is_saved(name: str, kind: str, browser: Browser, studio: Harness, run: str) -> None:
    with looking(browser, studio.url, **KINDS[kind]) as view:
        view.open(VIEWS[name].replace("{run}", run))
        view.page.locator("h1").first.wait_for()
        view.page.wait_for_load_state("load")
        view.page.wait_for_timeout(1000)
        view.settle()
        save(view.page.screenshot(full_page=True), ROOT / f"docs/img/studio-{name}-{kind}.png")


def save(png: bytes, path: Path) -> None:
    """Save an image with 256 colours: a quarter of the bytes, without a visible difference."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
