"""
Take the pictures of the report that the documents show.

``tox exec -e router -- python packages/shadow_router/tests/take_screenshot.py URL``
"""

import sys
from pathlib import Path

from report_browser import open_browser

DOCS = Path(__file__).parents[3] / "docs"
VIEW = {"viewport": {"width": 1100, "height": 1080}, "color_scheme": "light"}


def main(url):
    """Save what is first seen of a running report, where the flips live, and drift."""
    with open_browser() as browser:
        page = browser.new_page(reduced_motion="reduce", **VIEW)
        page.goto(url)
        page.wait_for_function("document.querySelector('.plot') !== null")
        page.wait_for_timeout(300)
        page.screenshot(path=DOCS / "report.png")
        for name in ("where", "drift"):
            section = page.locator("section", has=page.locator(f"#{name}"))
            section.screenshot(path=DOCS / f"report-{name}.png")


if __name__ == "__main__":
    main(sys.argv[1])
