"""The drift panel in a real browser, of a live that shows metrics of its model."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from report_browser import watch_page
from router_fakes import FakeServer
from router_metrics import CountingLive
from router_system import System, post_many, wait_until

HOSTILE = "<img src=x onerror=alert(1)>"
LENGTHS = (4.7, 5.0, 5.4, 5.8, 6.1, 6.5, 6.8, 7.2, 7.5, 7.9)
WIDTHS = (0.3, 0.6, 0.8, 1.1, 1.3, 1.5, 1.8, 2.0, 2.3, 2.5)
HEIGHTS = (9, 23, 14, 27, 16, 26, 18, 6, 5, 6)
SHARES = (41, 8, 1, 7, 8, 33, 6, 23, 9, 14)
SURE = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
FEATURES = {
    "length": (LENGTHS, (11, 20, 16, 25, 18, 24, 19, 7, 4, 5, 1), HEIGHTS),
    "width": (WIDTHS, (3, 6, 2, 5, 6, 20, 12, 38, 21, 25, 12), SHARES),
    HOSTILE: (WIDTHS, (40, 9, 1, 8, 7, 32, 8, 22, 9, 14, 0), SHARES),
}
LABELS = {"setosa": (44, 50), "versicolor": (38, 49), "virginica": (68, 51)}
CONFIDENCE = (
    SURE,
    (0, 0, 0, 3, 5, 6, 11, 15, 44, 66, 0),
    (0, 0, 1, 4, 4, 7, 10, 12, 42, 70),
)
# A browser, and the twenty seconds until live is asked again.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """A system whose live has answered 1,800 rows, one of whose features moved."""
    directory = tmp_path_factory.mktemp("drift") / "data"
    live = CountingLive(FEATURES, LABELS, CONFIDENCE)
    with live, FakeServer() as shadow, System(directory, live.url, shadow.url) as one:
        wait_until(lambda: one.report()["drift"], what="the first answer")
        post_many(one, 12)
        one.settled_fates()
        rows = lambda: one.report()["drift"]["comparisons"][0]["rows"]  # noqa: E731
        wait_until(rows, 60, "the second answer")
        yield f"http://127.0.0.1:{one.private}/"


def test_drift_is_seen_with_its_numbers(browser, drifting):
    with watch_page(browser, drifting) as page:
        card = page.locator("section", has=page.locator("#drift"))
        said = card.locator(".note").first
        expect(said).to_contain_text(
            "1,800 rows that live answered in less than a minute"
        )
        expect(said).to_contain_text("5 comparisons, each with a chance to be wrong")
        expect(said).to_contain_text("Drift never gates a promotion")
        rows = card.locator(".drift li")
        expect(rows).to_have_count(5)
        expect(rows.first).to_contain_text("width")
        expect(rows.first.locator(".pill")).to_have_text("alarm")
        expect(rows.first.locator(".gate-value b")).to_have_text("0.37")
        expect(rows.first.locator(".gate-value")).to_contain_text("KS, limit 0.25")
        expect(card.locator(".pill")).to_have_text(["alarm", *["no alarm"] * 4])
        expect(card.locator(".drift-name b").nth(2)).to_have_text(HOSTILE)
        expect(rows.nth(3)).to_contain_text("share moved, limit 0.2")
        expect(rows.nth(3).locator(".below span")).to_have_text(list(LABELS))
        box = rows.first.locator("svg").bounding_box()
        assert box["width"] > 200 and box["height"] > 40
        assert rows.first.locator("rect").count() == 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1240])
def test_drift_is_accessible_and_fits(browser, drifting, scheme, width):
    view = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with watch_page(browser, drifting, **view) as page:
        page.get_by_role("button", name="Pause").click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
