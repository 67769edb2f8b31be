"""A real Chromium for the report, and what a test wants to know of it."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    # Grey edges of letters: pictures of a third of the size.
    "--disable-lcd-text",
]
_FAILED = "Failed to load resource: the server responded with a status of"
# Of a browser that shares two cores with the rest of the checks.
expect.set_options(timeout=15_000)


def find_browser():
    """Return the path of the machine's Chromium or Chrome; fail without one."""
    found = [path for path in map(shutil.which, NAMES) if path]
    assert found, f"the report needs a browser: install one of {', '.join(NAMES)}"
    return found[0]


@contextmanager
def open_browser():
    """Run a headless browser until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=ARGUMENTS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watch_page(browser, url, refused=(), **view):
    """
    Open a page; at the end nothing may have gone wrong in it.

    No message on the console, which is where a breach of the policy is told, no error
    in a script, no dialogue, no request to another origin. Of what the page asks for,
    only answers of the statuses in `refused` may be no success.
    """
    context = browser.new_context(reduced_motion="reduce", **view)
    page = context.new_page()
    origin = url if url.startswith("file:") else "/".join(url.split("/")[:3]) + "/"
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    tolerated = tuple(f"{_FAILED} {status} " for status in refused)
    page.on("console", lambda m: m.text.startswith(tolerated) or wrong.append(m.text))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda r: r.url.startswith(origin) or wrong.append(r.url))
    page.goto(url)
    try:
        yield page
        assert wrong == [], wrong
    finally:
        context.close()
