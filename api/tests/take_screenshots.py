"""
Take the screenshots of the page that the documents show.

``tox exec -e api -- python api/tests/take_screenshots.py``
"""

from pathlib import Path
from subprocess import DEVNULL

from api_server import start_server
from page_browser import open_browser

DOCS = Path(__file__).parents[2] / "docs"
DESKTOP = {"viewport": {"width": 1240, "height": 1060}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 360, "height": 780}, "color_scheme": "dark"}


def main():
    """Write one picture a view."""
    with start_server(stdout=DEVNULL) as server, open_browser() as browser:
        take(browser, server.port, "page-desktop.png", DESKTOP)
        take(browser, server.port, "page-phone.png", PHONE)


def take(browser, port, name, view):
    """Open the page with its second example chosen and save what is seen."""
    page = browser.new_page(reduced_motion="reduce", **view)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("#examples button").nth(1).click()
    page.mouse.move(0, 0)
    page.wait_for_function("document.querySelector('.wins') !== null")
    page.wait_for_timeout(300)
    page.screenshot(path=DOCS / name)
    page.close()


if __name__ == "__main__":
    main()
