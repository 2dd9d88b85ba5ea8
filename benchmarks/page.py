"""First load of the studio: what it transfers and when it is there, in a fresh profile of a headless Chromium.

    python -m benchmarks.page --url http://127.0.0.1:8000 --chromium /usr/bin/chromium

The service has to be running, `atelier up` for one. The reference, in the same run, is the service's icon opened by
itself: what the browser takes for any first address. Profiles take turns; milliseconds are medians, from the start of
the navigation to the first content, to the view's heading, and to the first picture of a model.
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
# In containers Chromium's own sandbox lacks privileges; it sees nothing but this service's page.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()"
_KILOBYTES = """performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter((entry) => entry.name.includes('/web/') || entry.entryType === 'navigation')
    .reduce((sum, entry) => sum + entry.transferSize, 0) / 1000"""


def opened(browser: Browser, url: str) -> dict[str, float]:
    """Open the gallery in a profile of its own, and give kilobytes and milliseconds."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.get_by_role("heading", level=1).wait_for()
        heading = page.evaluate("performance.now()")
        page.wait_for_function("[...document.images].some((image) => image.complete && image.naturalWidth > 1)")
        picture = page.evaluate("performance.now()")
        figures = {"first content": page.evaluate(_PAINTED), "heading": heading, "first picture": picture}
        return figures | {"kilobytes": page.evaluate(_KILOBYTES)}
    finally:
        context.close()


def alone(browser: Browser, url: str) -> float:
    """Open the icon in a profile of its own, and give the milliseconds until it is there."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{url}/web/favicon.svg")
        return float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    finally:
        context.close()


def main() -> None:
    """Measure, print, and fail where a promise is broken."""
    parser = argparse.ArgumentParser(description="First load of the studio.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--chromium", type=Path, required=True, help="the browser's program")
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=FLAGS)
        turns = [(alone(browser, arguments.url), opened(browser, arguments.url)) for _ in range(arguments.turns)]
        browser.close()
    print(f"icon alone: {statistics.median(turn for turn, _ in turns):.0f} ms")
    medians = {name: statistics.median(figures[name] for _, figures in turns) for name in turns[0][1]}
    for name, value in medians.items():
        worst = max(figures[name] for _, figures in turns)
        print(f"{name}: {value:.0f} {'kB' if name == 'kilobytes' else 'ms'} (at most {worst:.0f})")
    if medians["kilobytes"] > MAX_KILOBYTES or medians["heading"] > MAX_MS:
        raise SystemExit(f"more than {MAX_KILOBYTES} kB or {MAX_MS} ms")


if __name__ == "__main__":
    main()
