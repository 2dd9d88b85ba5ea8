"""The studio in a real browser with a full installation: from a zip of images to a model that serves samples."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from models.verdicts import VERDICTS
from tests.fixtures.browser import View, looking
from tests.fixtures.harness import Harness
from tests.fixtures.pictures import shapes
from tests.fixtures.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

pytestmark = pytest.mark.browser

# A training of a few seconds: settings of the preset mlp-mnist by group and label on the page.
TINY = {
    "training": {"batch size": "10", "tick kimg": "0.25", "snapshots": "8"},
    "generator": {"network hidden": "[16]"},
    "discriminator": {"network hidden": "[16]"},
}


@pytest.fixture(scope="module")
def http(studio: Harness) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=studio.url, timeout=30) as client:
        yield client


def upload(page: Page, archive: Path, name: str, size: str) -> None:
    """Upload an archive of images with a chosen name and size."""
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_label("Archive of images").set_input_files(archive)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Size").select_option(size)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(f"**/data/{name}")
    page.get_by_role("heading", name=f"{name} ready").wait_for()


def open_training_form(page: Page, name: str) -> None:
    """Open the training form for the data set that is shown, with a model name."""
    page.get_by_role("link", name="Train on it").click()
    page.get_by_label("Preset").select_option("mlp-mnist")
    page.get_by_label("Publish as").fill(name)


def override(page: Page, settings: dict[str, dict[str, str]]) -> None:
    """Type into the advanced settings."""
    page.get_by_text("Advanced settings").click()
    for group, fields in settings.items():
        for label, value in fields.items():
            page.get_by_role("group", name=group, exact=True).get_by_label(label, exact=True).fill(value)


def ticks(page: Page) -> Locator:
    return page.get_by_text(re.compile(r"At [\d.]+ kimg the discriminator's loss is"))


def run_user_journey(
    view: View, archive: Path, name: str, browser: Browser, tmp_path: Path, *, length_key: str = "End"
) -> None:
    """Upload, read the findings, train, reload, see the run finish, sample, download, set an alias."""
    page = view.open("/data").page
    upload(page, archive, name, "28")
    page.get_by_role("heading", name="Findings").wait_for()
    view.settle()
    assert view.violations() == []

    open_training_form(page, name)
    page.get_by_label("Training length").press(length_key)
    override(page, TINY)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/runs/(?!new)"))
    ticks(page).wait_for()

    # A reload in the middle and a second browser show the same run with its whole history.
    assert page.get_by_role("heading", name=f"{name} running").is_visible()
    page.reload()
    ticks(page).wait_for()
    with looking(browser, view.url, "dark", 390) as other:
        ticks(other.open(page.url.removeprefix(view.url)).page).wait_for()
    page.get_by_role("heading", name=f"{name} succeeded").wait_for(timeout=60_000)
    view.settle()
    assert view.violations() == []
    page.get_by_role("button", name="Publish this snapshot as a version").click()
    page.get_by_text(re.compile(rf"{name}@\d+ (is|was) published")).wait_for()

    page.get_by_role("link", name=re.compile(rf"^{name}@\d+$")).first.click()
    page.wait_for_url(re.compile("/play"))
    view.settle()
    assert view.violations() == []
    with page.expect_download() as download:
        page.get_by_role("link", name="PNG", exact=True).first.click()
    saved = tmp_path / "picture.png"
    download.value.save_as(saved)
    assert saved.read_bytes().startswith(b"\x89PNG")

    page.goto(f"{view.url}/?show={name}@1")
    page.get_by_label("New alias for this version").fill("mine")
    page.get_by_role("button", name="Set alias").click()
    page.get_by_role("button", name="Delete the alias mine").wait_for()
    assert view.violations() == []


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("archive") / "My Shapes.zip")


def test_pictures_become_a_model_that_is_sampled_and_named(
    view: View, archive: Path, browser: Browser, http: httpx.Client, tmp_path: Path
) -> None:
    run_user_journey(view, archive, "shapes", browser, tmp_path)
    assert http.get("/datasets/shapes").json()["finding_counts"]["duplicate"] == 1
    assert http.get("/models/shapes").json()["aliases"]["mine"] == 1
    assert http.get("/samples?model=shapes@mine&n=4").status_code == 200


@pytest.mark.large
def test_photographs_of_flowers_become_a_model(
    view: View, flowers: Path, browser: Browser, http: httpx.Client, tmp_path: Path
) -> None:
    run_user_journey(view, flowers, "flowers", browser, tmp_path, length_key="Home")
    assert http.get("/datasets/flowers").json()["count"] == 2998


@pytest.fixture(scope="module")
def run(http: httpx.Client, studio: Harness) -> str:
    """A finished run that has published the model `digits`."""
    overrides = {"generator.network.hidden": [8], "discriminator.network.hidden": [8], "tick_kimg": 0.2}
    body = {"preset": "mlp-mnist", "dataset": "mnist-mini", "model": "digits", "kimg": 1, "overrides": overrides}
    where = http.post("/train", json=body).headers["Location"]
    until(lambda: http.get(where).json()["state"] == "succeeded", "the run", 60)
    return where.removeprefix("/train/")


VIEWS = ("/", "/play?model=digits@1", "/data", "/data/mnist-mini", "/runs/new", "/runs", "/runs/{run}")
MORE_VIEWS = ("/?show=digits@1", "/runs/new?dataset=mnist-mini&preset=mlp-mnist")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_has_no_accessibility_violations(scheme: Any, browser: Browser, studio: Harness, run: str) -> None:
    violations: dict[str, list[str]] = {}
    with looking(browser, studio.url, scheme) as view:
        for path in (*VIEWS, *MORE_VIEWS):
            view.open(path.replace("{run}", run))
            view.page.locator("h1, h2").first.wait_for()
            view.settle()
            violations[path] = view.violations()
    assert {path: found for path, found in violations.items() if found} == {}


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_fits_a_narrow_screen(path: str, browser: Browser, studio: Harness, run: str) -> None:
    with looking(browser, studio.url, width=360, height=740) as view:
        view.open(path.replace("{run}", run))
        view.page.locator("h1").first.wait_for()
        view.settle()
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_idle_page_sends_no_requests(view: View, run: str) -> None:
    view.open(f"/runs/{run}")
    view.page.get_by_role("heading", name="Losses").wait_for()
    view.page.wait_for_load_state("load")
    view.page.wait_for_timeout(500)
    requested: list[str] = []
    view.page.on("request", lambda request: requested.append(request.url))
    view.page.wait_for_timeout(3000)
    assert requested == []


def test_a_verdict_has_the_title_and_the_words_of_the_schema(view: View, http: httpx.Client, run: str) -> None:
    text = VERDICTS[http.get(f"/train/{run}").json()["health"]["verdict"]]
    verdict = view.open(f"/runs/{run}").page.get_by_label("Verdict and scores")
    verdict.get_by_role("heading", name=f"Verdict {text.title}").wait_for()
    if text.severity != "good":
        verdict.get_by_text(text.sentence).wait_for()


def test_upload_shows_progress_and_can_be_cancelled(view: View, http: httpx.Client, tmp_path: Path) -> None:
    archive = tmp_path / "slow.zip"
    archive.write_bytes(random.Random(0).randbytes(400_000))
    page = view.open("/data").page
    network = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 40_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", network)
    page.get_by_label("Archive of images").set_input_files(archive)
    page.get_by_role("button", name="Upload").click()
    page.get_by_text(re.compile(r"[1-9][\d.]* kB of 4\d\d kB")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("progressbar").wait_for(state="detached")
    assert http.get("/datasets/slow").status_code == 404


def test_rejected_upload_shows_the_reason(view: View, tmp_path: Path) -> None:
    archive = tmp_path / "broken.zip"
    archive.write_bytes(b"PK\x03\x04 and nothing more")
    page = view.open("/data").page
    page.get_by_label("Archive of images").set_input_files(archive)
    page.get_by_label("Name").fill("mnist")
    page.get_by_text('There is a data set "mnist" already').wait_for()
    assert page.get_by_role("button", name="Upload").is_disabled()
    page.get_by_label("Name").fill("broken")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("alert").get_by_text("broken.zip was refused").wait_for()


def test_run_is_paused_resumed_and_trained_longer(view: View, http: httpx.Client, run: str) -> None:
    page = view.open(f"/runs/{run}").page
    page.get_by_role("button", name="Train longer…").click()
    page.get_by_label("New length in kimg").fill("1000000")
    page.get_by_role("button", name="Continue training").click()
    page.get_by_role("heading", name="digits running").wait_for()
    page.get_by_role("button", name="Pause", exact=True).first.click()
    page.get_by_role("heading", name=re.compile("digits paused$")).wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("heading", name="digits running").wait_for()
    page.get_by_text("Log", exact=True).click()
    page.get_by_text("resumed from").first.wait_for()
    http.post(f"/train/{run}/cancel")
    page.get_by_role("heading", name=re.compile("digits cancelled$")).wait_for()


def test_snapshots_are_shown_by_slider_and_as_an_animation(view: View, run: str) -> None:
    page = view.open(f"/runs/{run}").page
    slider = page.get_by_role("slider", name="Snapshot")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_alt_text("Images generated at 0 kimg").wait_for()
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="webp").click()
    assert download.value.suggested_filename == "digits.webp"


def test_settings_offer_the_choices_of_the_schema(view: View, http: httpx.Client) -> None:
    page = view.open("/runs/new?dataset=mnist-mini&preset=mlp-mnist").page
    page.get_by_text("Advanced settings").click()
    loss = page.get_by_role("group", name="training", exact=True).get_by_label("loss", exact=True)
    schemas = http.get("/openapi.json").json()["components"]["schemas"]
    assert loss.locator("option").all_inner_texts() == schemas["TrainingConfig"]["properties"]["loss"]["enum"]
    with page.expect_response(lambda answer: "hinge" in (answer.request.post_data or "")):
        loss.select_option("hinge")
    page.get_by_text("Advanced settings (1 changed)").wait_for()
    # The estimate is dimmed while it is out of date.
    page.locator(".estimate [aria-busy='false']").wait_for()
    assert view.violations() == []
    page.get_by_role("button", name="Reset to the preset").click()
    page.get_by_text("changed)").wait_for(state="detached")
    until(lambda: loss.input_value() == "non_saturating", "the dry run of the preset", 30)


# Approximate accessible name of the focused element; null where the focus is not visible.
FOCUSED = """() => {
    const { activeElement: focused } = document;
    const name = focused.getAttribute("aria-label") || focused.labels?.[0]?.innerText || focused.innerText || "";
    return focused.matches(":focus-visible") ? name.trim() : null;
}"""


def focus(page: Page, name: str) -> None:
    """Press Tab until an element with that name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if (page.evaluate(FOCUSED) or "").startswith(name):
            return
    raise AssertionError(f'the keyboard does not reach "{name}"')


def is_dry_run(request: Request, model: str) -> bool:
    """Return whether a request is the dry run of a shortened training to be published as `model`."""
    body: dict[str, Any] = (request.post_data_json or {}) if "dry_run=true" in request.url else {}
    return body.get("model") == model and "epochs" in body


def test_a_training_is_started_and_cancelled_by_keyboard(view: View, http: httpx.Client) -> None:
    page = view.open("/").page
    page.get_by_role("heading", name="Gallery").wait_for()
    focus(page, "Skip to the content")
    focus(page, "Train")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Estimate").wait_for()
    focus(page, "Preset")
    page.keyboard.type("mlp-mnist")
    focus(page, "Training length")
    page.keyboard.press("Home")
    focus(page, "Publish as")
    with page.expect_response(lambda answer: is_dry_run(answer.request, "by-hand")):
        page.keyboard.type("by-hand")
    page.get_by_text("quick: 2 %").wait_for()
    page.locator("button:enabled", has_text="Start training").wait_for()
    focus(page, "Start training")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/(?!new)"))
    page.get_by_role("heading", name=re.compile("by-hand (queued|running)")).wait_for()
    focus(page, "Cancel")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    focus(page, "Cancel")
    page.keyboard.press("Enter")
    focus(page, "Cancel the run")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="by-hand cancelled").wait_for()
    assert http.get("/train?model=by-hand").json()["items"][0]["state"] == "cancelled"
