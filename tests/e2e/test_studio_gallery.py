"""The gallery in a real browser: models, versions, aliases, and undoing changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models.records import Records
from models.scores import Score
from models.store.manifest import CARD, MANIFEST, NEIGHBOURS, PREVIEW, FileEntry, Manifest
from tests.fixtures.browser import Scheme, View, looking
from tests.fixtures.models import write_version
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route

pytestmark = pytest.mark.browser

PROTOCOL = "sliced, 2,000 samples"
QUIET_SECONDS = 1.0
IDLE_SECONDS = 3.0


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Service]:
    """A service with three scored versions of `digits` and the model that ships."""
    for number, value in enumerate((9.0, 3.0, 5.0), 1):
        scores = {"sliced": Score(value=value, protocol=PROTOCOL)}
        write_version(tmp_path / "models", "digits", number, seed=number, scores=scores)
    _add_card(tmp_path / "models/digits/2")
    with serving(tmp_path) as service:
        service.ready()
        yield service


def _add_card(folder: Path) -> None:
    """Add a model card and nearest training images to a version, as an evaluated run does."""
    files = {CARD: b"# digits@2\n\nImages of digits.\n", NEIGHBOURS: (folder / PREVIEW).read_bytes()}
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    listed = {name: FileEntry.of(data) for name, data in files.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest.model_copy(update={"files": manifest.files | listed}).to_json())


@pytest.fixture
def view(browser: Browser, gallery: Service) -> Iterator[View]:
    """The gallery on a screen of ordinary width."""
    with looking(browser, gallery.url) as looked:
        yield looked.open("/")


def _card(view: View, name: str) -> Locator:
    return view.page.locator(".model").filter(has=view.page.get_by_role("heading", name=name, exact=True))


def _aliases(service: Service) -> dict[str, int]:
    aliases: dict[str, int] = service.client.get("/models/digits").json()["aliases"]
    return aliases


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_gallery_and_details_have_no_accessibility_violations(
    browser: Browser, gallery: Service, scheme: Scheme, width: int
) -> None:
    with looking(browser, gallery.url, scheme, width) as view:
        for path in ("/", "/?show=digits@2"):
            view.open(path).page.get_by_role("heading", name="digits").first.wait_for()
            view.settle()
            assert view.violations() == []
            assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls horizontally"


def test_rollback_and_promotion_are_one_click_and_can_be_undone(view: View, gallery: Service) -> None:
    card = _card(view, "digits")
    card.get_by_role("button", name="Roll back to 2").click()
    card.get_by_text("Version 2 is served").wait_for()
    assert _aliases(gallery) == {"best": 2, "latest": 3}

    card.get_by_role("button", name="Promote 3").click()
    card.get_by_text("Version 3 is served").wait_for()
    assert _aliases(gallery)["best"] == 3

    view.page.get_by_text("it was 2").locator("..").get_by_role("button", name="Undo").click()
    card.get_by_text("Version 2 is served").wait_for()
    assert _aliases(gallery)["best"] == 2

    view.page.get_by_text("best of digits is 2 now").locator("..").get_by_role("button", name="Undo").click()
    card.get_by_text("Version 3 is served").wait_for()
    assert _aliases(gallery) == {"latest": 3}


def test_best_score_among_comparable_versions_is_marked(view: View) -> None:
    view.open("/?show=digits@2")
    dialog = view.page.get_by_role("dialog")
    dialog.get_by_text("best", exact=True).wait_for()
    dialog.get_by_text(PROTOCOL).wait_for()
    dialog.get_by_text("mnist-mini").wait_for()


def test_card_is_read_and_nearest_training_images_are_shown(view: View) -> None:
    view.open("/?show=digits@2")
    dialog = view.page.get_by_role("dialog")
    dialog.get_by_alt_text("Generated and nearest training samples, in pairs").wait_for()
    dialog.get_by_text("Read it").click()
    dialog.get_by_text("Images of digits.").wait_for()


def test_version_without_aliases_is_deleted_after_a_confirmation(view: View, gallery: Service) -> None:
    gallery.client.put("/models/digits/aliases/stable", json={"version": 1}).raise_for_status()
    view.open("/?show=digits@1")
    dialog = view.page.get_by_role("dialog")
    dialog.get_by_text("stable points at it").wait_for()
    dialog.get_by_role("button", name="Delete the alias stable").click()
    dialog.get_by_role("button", name="Delete this version").click()
    dialog.get_by_role("button", name="Keep it").click()
    dialog.get_by_role("button", name="Delete this version").click()
    dialog.get_by_role("button", name="Delete digits@1").click()
    dialog.wait_for(state="hidden")
    versions = gallery.client.get("/models/digits").json()["versions"]
    assert [version["version"] for version in versions] == [2, 3]
    assert view.page.url.endswith("/")


def test_custom_alias_is_set_and_an_invalid_one_rejected(view: View, gallery: Service) -> None:
    view.open("/?show=digits@2")
    dialog = view.page.get_by_role("dialog")
    name = dialog.get_by_label("New alias for this version")
    name.fill("latest")
    dialog.get_by_role("button", name="Set alias").click()
    view.page.get_by_role("alert").get_by_text("latest").wait_for()
    name.fill("stable")
    dialog.get_by_role("button", name="Set alias").click()
    dialog.get_by_text("stable", exact=True).wait_for()
    assert _aliases(gallery)["stable"] == 2
    dialog.get_by_role("button", name="Undo").click()
    dialog.get_by_text("No alias points at this version").wait_for()


def test_new_version_is_shown_without_a_reload(view: View, gallery: Service) -> None:
    _card(view, "digits").get_by_text("3 versions").wait_for()
    write_version(gallery.settings.data_dir / "models", "digits", 4, seed=4)
    _card(view, "digits").get_by_text("4 versions").wait_for()


def test_idle_page_sends_no_requests(view: View) -> None:
    requested: list[tuple[float, str]] = []
    view.page.on("request", lambda request: requested.append((time.monotonic(), request.url)))
    view.open("/").page.get_by_role("heading", name="digits").wait_for()
    view.settle()
    until(
        lambda: _process_events(view) and time.monotonic() - requested[-1][0] > QUIET_SECONDS, "the page to be loaded"
    )
    requested.clear()
    view.page.wait_for_timeout(1_000 * IDLE_SECONDS)  # the absence of requests has no event to wait for
    assert requested == []


def _process_events(view: View) -> bool:
    """Let Playwright deliver the browser's events, which it does only during a call."""
    view.page.wait_for_timeout(50)
    return True


def test_escape_closes_the_details_and_the_back_button_opens_them(view: View) -> None:
    link = view.page.get_by_role("link", name="digits version 2")
    link.click()
    dialog = view.page.get_by_role("dialog")
    dialog.wait_for()
    view.page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    # The focus returns to the link, where keyboard users continue.
    assert link.evaluate("link => link === document.activeElement")
    view.page.go_back()
    dialog.wait_for()


def test_lost_connection_is_shown(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as running:
        service = running.enter_context(serving(tmp_path))
        with looking(browser, service.url) as view:
            view.open("/").page.get_by_role("heading", name="starter").wait_for()
            until(lambda: service.app.state.atelier.streams == 1, "the page to listen")
            service.app.state.atelier.end_streams()
            running.close()
            view.page.get_by_text("The connection to Atelier is lost").wait_for()
            view.faults.clear()


def test_page_starts_as_soon_as_the_service_responds(view: View) -> None:
    page = view.page
    page.route("**/session", lambda route: route.abort())
    view.open("/").page.get_by_role("heading", name="Atelier cannot be reached").wait_for()
    page.unroute("**/session")
    _card(view, "digits").wait_for()
    view.faults.clear()


def test_view_that_loads_late_does_not_replace_a_newer_one(view: View) -> None:
    page = view.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/assets/Data-*.js", hold)
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name="Play", exact=True).first.click()
    page.get_by_role("heading", name="Export").wait_for()
    with page.expect_response("**/assets/Data-*.js"):
        held[0].continue_()
    view.settle()
    assert page.get_by_role("heading", level=1).inner_text() == "Play"


def test_names_of_64_letters_fit_a_narrow_screen(browser: Browser, gallery: Service) -> None:
    name = "w" * 64
    scores = {"classifier_frechet_final": Score(value=9.0, protocol="p" * 200)}
    write_version(gallery.settings.data_dir / "models", name, 1, scores=scores)
    gallery.client.put(f"/models/{name}/aliases/{'a' * 64}", json={"version": 1}).raise_for_status()
    with looking(browser, gallery.url, width=360, height=740) as view:
        for path in ("/", f"/?show={name}@1", f"/play?model={name}&pick=1", f"/play?model={name}&view=variations"):
            view.open(path).page.get_by_text(name).first.wait_for(state="attached")
            view.settle()
            assert view.page.evaluate("document.documentElement.scrollWidth") <= 360, path
        view.open("/").page.get_by_text("Fréchet distance (classifier), at the end").wait_for()


def test_sign_in_with_a_key(browser: Browser, tmp_path: Path) -> None:
    with closing(Records(f"sqlite:///{tmp_path / 'atelier.db'}")) as records:
        records.migrate()
        _, key = records.add_key("ada", ["sample"])
    with serving(tmp_path, auth="on") as service, looking(browser, service.url) as view:
        view.open("/").page.get_by_label("Key").fill("wrong")
        view.page.get_by_role("button", name="Sign in").click()
        view.page.get_by_text("there is no such key").wait_for()
        assert view.violations() == []
        view.page.get_by_label("Key").fill(key)
        view.page.get_by_role("button", name="Sign in").click()
        _card(view, "starter").wait_for()
        # Views outside of the scopes of the key are not offered.
        assert view.page.get_by_role("link", name="Train").count() == 0
        view.page.get_by_role("button", name="Sign out").click()
        view.page.get_by_label("Key").wait_for()
        # After signing in, the requested view is shown.
        view.open("/play?model=starter&pick=3").page.get_by_label("Key").fill(key)
        view.page.get_by_role("button", name="Sign in").click()
        view.page.get_by_alt_text("Seed 3, generated by starter@2").wait_for()
        view.faults[:] = [fault for fault in view.faults if "401" not in fault]
