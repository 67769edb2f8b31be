"""
Take the screenshot of the report that the documents show.

``tox exec -e router -- python packages/shadow_router/tests/take_screenshot.py URL``
"""

import sys
from pathlib import Path

from report_browser import open_browser

PICTURE = Path(__file__).parents[3] / "docs" / "report.png"
VIEW = {"viewport": {"width": 1240, "height": 2420}, "color_scheme": "light"}


def main(url):
    """Save what is seen of a running report, from the verdict to where flips live."""
    with open_browser() as browser:
        page = browser.new_page(reduced_motion="reduce", **VIEW)
        page.goto(url)
        page.wait_for_function("document.querySelector('.plot') !== null")
        page.get_by_role("button", name="Pause").click()
        page.mouse.move(0, 0)
        page.wait_for_timeout(300)
        page.locator("#pause").blur()
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main(sys.argv[1])
