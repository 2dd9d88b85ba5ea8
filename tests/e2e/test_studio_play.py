"""The Play view in a real browser: every state has a URL, every image can be exported."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.browser import Scheme, View, looking
from tests.fixtures.models import TINY_CONDITIONAL, write_models, write_version
from tests.fixtures.service import Service, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with models of grey and of colour images and one with classes; no test here changes it."""
    folder = tmp_path_factory.mktemp("play")
    write_models(folder / "models")
    write_version(folder / "models", "shapes", 1, TINY_CONDITIONAL, seed=3)
    with serving(folder, model="digits") as service:
        service.ready()
        yield service


@pytest.fixture
def view(browser: Browser, sampling: Service) -> Iterator[View]:
    """A page in a new browser profile."""
    permissions = ["clipboard-read", "clipboard-write"]
    with looking(browser, sampling.url, permissions=permissions) as looked:
        yield looked


def _cell(view: View, seed: int) -> Locator:
    return view.page.locator("button[data-cell]").filter(has=view.page.get_by_alt_text(f"Seed {seed}", exact=True))


def _seeds(view: View) -> str:
    return view.page.url.partition("seeds=")[2].partition("&")[0]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_tab_has_no_accessibility_violations(
    browser: Browser, sampling: Service, scheme: Scheme, width: int
) -> None:
    with looking(browser, sampling.url, scheme, width) as view:
        for query in ("pick=3", "view=grid", "view=walk&seeds=1,2,9", "view=variations&seed=4&model=shapes"):
            view.open(f"/play?{query}").page.get_by_role("heading", name="Export").wait_for()
            view.settle()
            assert view.violations() == [], query
            assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{query} scrolls horizontally"
            )


def test_state_is_in_the_address_and_survives_a_reload(view: View) -> None:
    page = view.open("/play").page
    page.get_by_label("Model").select_option("shapes@1")
    page.get_by_label("Class").select_option("class 2")
    page.get_by_label("Seed", exact=True).fill("9223372036854775807")
    page.get_by_label("Seed", exact=True).press("Enter")
    page.get_by_label("Images").select_option("9")
    page.get_by_role("slider").fill("0.5")
    page.wait_for_url("**/play?model=shapes@1&seed=9223372036854775807&n=9&class=class+2&psi=0.5")
    page.reload()
    assert page.get_by_label("Class").input_value() == "class 2"
    assert page.get_by_label("Seed", exact=True).input_value() == "9223372036854775807"
    # Seed 0 follows the last one.
    _cell(view, 0).wait_for()
    page.go_back()
    page.wait_for_url(lambda url: "n=9" not in url)


def test_invalid_query_shows_a_default_state(view: View) -> None:
    view.open("/play?view=unknown&n=-3&seed=x&psi=9&seeds=,,").page.get_by_alt_text("Seed 0", exact=True).wait_for()


def test_error_of_the_service_is_shown(view: View) -> None:
    view.open("/play?view=grid&model=digits&class=rose").page.get_by_text("class").first.wait_for()
    view.page.locator(".main-image .error").get_by_text("not conditional").wait_for()


def test_selected_seed_becomes_a_favourite_with_variations_and_a_walk(view: View) -> None:
    page = view.open("/play?model=digits@1").page
    _cell(view, 7).click()
    page.wait_for_url("**pick=7")
    page.get_by_role("button", name="Favourite").click()
    page.get_by_role("link", name="Variations of digits@1, seed 7").wait_for()
    page.reload()
    page.get_by_role("link", name="Variations of digits@1, seed 7").click()
    page.wait_for_url("**/play?view=variations&model=digits@1&seed=7")
    page.get_by_role("region", name="Towards seed 1000010").get_by_role("link", name="Walk to it").click()
    page.wait_for_url("**seeds=7,1000010")
    page.get_by_role("button", name="Remove digits@1, seed 7 from the favourites").click()
    page.get_by_text("Images that you star are kept here").wait_for()


def test_history_leads_back_to_an_earlier_state(view: View) -> None:
    page = view.open("/play?model=digits@1&seed=11&view=grid").page
    page.get_by_role("img", name="digits@1: grid, seed 11").wait_for()
    view.open("/play").page.get_by_role("img", name="digits@1: grid, seed 11").click()
    page.wait_for_url("**view=grid&model=digits@1&seed=11")


def test_walk_is_made_on_the_map_and_rendered(view: View) -> None:
    page = view.open("/play?view=walk&model=digits@1&frames=12").page
    page.get_by_text("Choose at least two seeds").wait_for()
    for seed in (1, 3, 12):
        _cell(view, seed).click()
    page.wait_for_url("**seeds=1,3,12**")
    page.get_by_text("From seed to seed, and back to the first").wait_for()
    video = page.locator(".walk-video video")
    assert video.evaluate("video => [video.readyState >= 2, video.videoWidth]") == [True, 280]
    assert video.evaluate("video => video.currentSrc").endswith("&format=mp4")
    page.get_by_role("button", name="Seed 3 later").click()
    page.wait_for_url("**seeds=1,12,3**")
    page.get_by_role("button", name="Remove seed 12 from the walk").click()
    page.wait_for_url("**seeds=1,3**")


def test_stop_is_dragged_to_another_seed(view: View) -> None:
    page = view.open("/play?view=walk&model=digits@1&seeds=1,3&frames=12").page
    page.locator(".stop").nth(1).drag_to(_cell(view, 20))
    page.wait_for_url("**seeds=1,20**")


def test_map_is_used_by_keyboard(view: View) -> None:
    page = view.open("/play?view=walk&model=digits@1&frames=12").page
    _cell(view, 0).focus()
    for key in ("Enter", "ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    page.wait_for_url("**seeds=0,9**")
    page.keyboard.press("Alt+ArrowLeft")
    page.wait_for_url("**seeds=0,8**")
    page.keyboard.press("Enter")
    page.wait_for_url("**seeds=0**")
    assert _seeds(view) == "0"


@pytest.mark.parametrize("name", ["PNG", "WebP", "JPEG", "NPY", "ZIP"])
def test_picture_is_downloaded_in_every_format(view: View, sampling: Service, name: str) -> None:
    page = view.open("/play?view=grid&model=digits@1&seed=7&n=4").page
    with page.expect_download() as waited:
        page.get_by_role("link", name=name, exact=True).click()
    assert waited.value.suggested_filename == f"digits-1-4-seed-7.{name.lower().replace('jpeg', 'jpg')}"
    data = Path(waited.value.path()).read_bytes()
    if name == "NPY":
        assert np.load(BytesIO(data)).shape == (4, 28, 28, 1)
    elif name == "ZIP":
        assert len(ZipFile(BytesIO(data)).namelist()) == 5
    else:
        params: dict[str, str | int] = {"model": "digits@1", "seed": 7, "n": 4, "scale": 4, "format": name.lower()}
        assert data == sampling.client.get("/samples", params=params).content
        assert Image.open(BytesIO(data)).format == name.upper()


def test_request_is_copied_as_code(view: View, sampling: Service) -> None:
    page = view.open("/play?model=digits&pick=7").page
    page.get_by_role("button", name="Copy as curl").click()
    page.get_by_text("Copied as curl").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == (f"curl -fo digits-1-seed-7.png '{sampling.url}/samples?model=digits@1&n=1&seed=7&scale=4'")
    page.get_by_role("button", name="Python", exact=True).click()
    page.get_by_role("button", name="Copy as Python").click()
    page.get_by_text("Copied as Python").wait_for()
    assert "httpx.get(" in page.evaluate("navigator.clipboard.readText()")


def test_unknown_model_is_reported(view: View) -> None:
    view.open("/play?model=nobody").page.get_by_text("nobody").first.wait_for()
    view.faults[:] = [fault for fault in view.faults if "404" not in fault]
