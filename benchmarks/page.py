"""First load of the studio: bytes transferred and times, in a new profile of a headless Chromium.

    python -m benchmarks.page --url http://127.0.0.1:8000 --chromium /usr/bin/chromium

The service has to be running, for example by `atelier up`. The reference, in the same run, is the service's icon alone:
what the browser takes for any first address. Both alternate; milliseconds are medians, from the start of the navigation
to the first content, to the view's heading, and to the first picture of a model.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MAX_KILOBYTES = 150
MAX_MS = 1000
# In containers Chromium's sandbox lacks privileges. The browser loads nothing but this service's page.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]

_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()"
_KILOBYTES = """performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter((entry) => entry.name.includes('/web/') || entry.entryType === 'navigation')
    .reduce((sum, entry) => sum + entry.transferSize, 0) / 1000"""


def open_gallery(browser: Browser, url: str) -> dict[str, float]:
    """Open the gallery in a new profile; returns kilobytes and milliseconds by name."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.get_by_role("heading", level=1).wait_for()
        heading = page.evaluate("performance.now()")
        page.wait_for_function("[...document.images].some((image) => image.complete && image.naturalWidth > 1)")
        picture = page.evaluate("performance.now()")
        figures = {"first content": page.evaluate(_FIRST_PAINT), "heading": heading, "first picture": picture}
        return figures | {"kilobytes": page.evaluate(_KILOBYTES)}
    finally:
        context.close()


def open_icon(browser: Browser, url: str) -> float:
    """Open the icon in a new profile; returns the milliseconds until it is loaded."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{url}/web/favicon.svg")
        return float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    finally:
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="First load of the studio.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--chromium", type=Path, required=True, help="executable of the browser")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=FLAGS)
        loads = [
            (open_icon(browser, arguments.url), open_gallery(browser, arguments.url)) for _ in range(arguments.repeats)
        ]
        browser.close()
    print(f"icon alone: {statistics.median(milliseconds for milliseconds, _ in loads):.0f} ms")
    medians = {name: statistics.median(figures[name] for _, figures in loads) for name in loads[0][1]}
    for name, value in medians.items():
        worst = max(figures[name] for _, figures in loads)
        print(f"{name}: {value:.0f} {'kB' if name == 'kilobytes' else 'ms'} (at most {worst:.0f})")
    if medians["kilobytes"] > MAX_KILOBYTES or medians["heading"] > MAX_MS:
        raise SystemExit(f"more than {MAX_KILOBYTES} kB or {MAX_MS} ms")


if __name__ == "__main__":
    main()
