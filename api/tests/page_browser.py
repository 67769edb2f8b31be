"""A real Chromium for the page, and what a test wants to know of it."""

import shutil
import subprocess
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
]


def find_browser():
    """Return the path of the machine's Chromium or Chrome; fail without one."""
    found = [path for path in map(shutil.which, NAMES) if path]
    assert found, f"the page is tested in a browser: install one of {', '.join(NAMES)}"
    return found[0]


# Of a browser that shares two cores with the rest of the checks.
expect.set_options(timeout=15_000)


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
def watch_page(browser, port, refusals=(), **view):
    """
    Open the page of a port; at the end nothing may have gone wrong in it.

    No message on the console, which is where a breach of the policy is told, no
    error in a script, no request to another origin. ``refusals`` are the statuses
    that the test provokes, about which a browser writes a line each.
    """
    origin = f"http://127.0.0.1:{port}/"
    context = browser.new_context(reduced_motion="reduce", **view)
    page = context.new_page()
    wrong = []
    expected = tuple(
        f"Failed to load resource: the server responded with a status of {status}"
        for status in refusals
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: m.text.startswith(expected) or wrong.append(m.text))
    page.on(
        "request",
        lambda r: r.url.startswith((origin, "blob:")) or wrong.append(r.url),
    )
    page.goto(origin)
    try:
        yield page
        assert wrong == [], wrong
    finally:
        context.close()


def percent(share):
    """Return a probability as the page writes it."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.0f} %" if share in (0, 1) else f"{share * 100:.1f} %"


def expect_prediction(page, prediction):
    """Wait until the page shows exactly this prediction."""
    shares = prediction["probabilities"]
    label = prediction["label"]
    expect(page.locator("#label")).to_have_text(label)
    expect(page.locator("#share")).to_have_text(percent(shares[label]))
    expect(page.locator("#bars .bar-name")).to_have_text(list(shares))
    expect(page.locator("#bars .bar-share")).to_have_text(
        [percent(share) for share in shares.values()]
    )
    expect(page.locator("#bars .wins .bar-name")).to_have_text(label)


def copied(page, button):
    """Press a copy button and return what is on the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=button).click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    return page.evaluate("navigator.clipboard.readText()")


def run(*command, **options):
    """Run a command and return what it prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True, **options
    )
    return done.stdout
