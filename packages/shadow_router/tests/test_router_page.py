"""The report in a real browser: live, clicked through, by keyboard, as a file."""

import contextlib
import json
import re
import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from report_browser import watch_page
from router_fakes import FakeServer, answer_bytes
from router_system import System, post_many, refused_url

ASKED = "one of those asked about above: label it first"
HOSTILE = "</pre><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"
LABELS = ("setosa", "versicolor")
# A browser costs more than all the rest of the suite.
pytestmark = pytest.mark.slow
SHOWN = ["Received", "Sampled", "Compared", "Unique inputs", "Labels changed"]


def answering(version, limit, flipped=None):
    """Return a script that answers by the first number of the only row."""

    async def script(arrived, writer):
        row = json.loads(arrived.body)["inputs"][0]
        x = next(iter(row.values()))
        label = flipped if flipped and 4 <= x < 5 else LABELS[x >= limit]
        best = 0.6 if 4 <= x < 5 else 0.95
        rest = round((1 - best) / 2, 9)
        shares = {name: best if name == label else rest for name in (*LABELS, HOSTILE)}
        rows = [{"label": label, "probabilities": shares, "out_of_range": []}]
        model = {"name": HOSTILE, "version": version}
        writer.write(answer_bytes({"model": model, "predictions": rows}))
        return True

    return FakeServer(script)


def send(system, numbers):
    """Send rows over one connection and wait until all have a fate."""
    with contextlib.closing(system.client()) as client:
        for x in numbers:
            row = {f"x {HOSTILE}": x, "y": x % 1, "z": x % 2}
            body = json.dumps({"inputs": [row], "note": HOSTILE})
            headers = {"content-type": "application/json"}
            client.request("POST", "/v1/predict", body, headers)
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200
    system.settled_fates()


def rows(first, last, step=0.05):
    return [round(first + step * at, 3) for at in range(round((last - first) / step))]


@pytest.fixture(scope="module")
def flipping(tmp_path_factory):
    """A system whose shadow says something hostile wherever 4 <= x < 5."""
    directory = tmp_path_factory.mktemp("page") / "data"
    live, shadow = answering("1.0.0", 5), answering("1.1.0", 5, HOSTILE)
    with live, shadow, System(directory, live.url, shadow.url) as system:
        send(system, rows(0, 10))
        system.url = f"http://127.0.0.1:{system.private}/"
        system.shadow_url, system.live_url = shadow.url, live.url
        yield system


@pytest.fixture
def page(browser, flipping):
    with watch_page(browser, flipping.url) as page:
        yield page


def tiles(page):
    names = page.locator(".tiles dt").all_inner_texts()
    return dict(zip(names, page.locator(".tiles dd").all_inner_texts(), strict=True))


def test_page_follows_the_traffic_without_being_loaded_again(page, flipping):
    before = int(tiles(page)["Compared"])
    page.evaluate("window.kept = true")
    page.locator("#gate-flips-open").click()
    send(flipping, [round(20 + before / 1000 + at / 1e5, 5) for at in range(5)])
    compared = page.locator(".tiles div", has_text="Compared").locator("dd")
    expect(compared).to_have_text(str(before + 5))
    assert page.evaluate("window.kept") is True
    # What was opened stays open, and what had the focus keeps it.
    assert page.locator("#gate-flips").get_attribute("open") is not None
    expect(page.locator("#gate-flips-open")).to_be_focused()


def test_page_stands_still_when_paused(page, flipping):
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#status")).to_have_text("Paused")
    before = tiles(page)["Compared"]
    send(flipping, [30 + int(before) / 1000])
    page.wait_for_timeout(2500)
    assert tiles(page)["Compared"] == before
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".tiles dd").nth(2)).not_to_have_text(before)


def test_verdict_says_state_reason_and_versions(page):
    expect(page.locator("h1")).to_have_text("FAIL")
    expect(page.locator(".reason")).to_contain_text("truly between")
    expect(page.locator(".version.live dd")).to_have_text("1.0.0")
    expect(page.locator(".version.shadow dd")).to_have_text("1.1.0")
    assert page.title() == "FAIL · Shadow report"
    assert list(tiles(page))[:5] == SHOWN


def test_gate_lies_right_of_its_limit_when_it_fails(page):
    gate = page.locator("#gate-flips")
    chart = gate.locator(".interval").first
    bar, limit = chart.locator(".bounds"), chart.locator(".limit")
    assert bar.bounding_box()["x"] > limit.bounding_box()["x"]
    expect(gate.locator(".pill")).to_have_text("fail")


def test_open_gate_says_how_much_it_still_needs(page):
    expect(page.locator("#gate-contract .missing")).to_have_text(
        re.compile("needs about [0-9,]+ more unique inputs")
    )


def test_cell_of_the_matrix_leads_to_its_discrepancies(page):
    cell = page.locator(".matrix .flip a").first
    count = int(cell.inner_text())
    cell.click()
    expect(page.locator("#filter-cell")).to_contain_text("setosa →")
    expect(page.locator(".discrepancy")).to_have_count(min(count, 10))
    texts = set(page.locator(".discrepancy .what").all_inner_texts())
    # What is asked about is led nobody to an answer of.
    assert texts - {ASKED} == {f"setosa → {HOSTILE}"}
    page.locator("#filter-cell").click()
    expect(page.locator("#filter-cell")).to_have_count(0)


def test_pages_of_discrepancies_lead_back_and_forth(page):
    first = page.locator(".discrepancy .id").all_inner_texts()
    page.locator("#older").click()
    expect(page.locator(".pages span")).to_have_text("page 2 of 2")
    second = page.locator(".discrepancy .id").all_inner_texts()
    assert len(first) == len(second) == 10 and not set(first) & set(second)
    page.locator("#newer").click()
    expect(page.locator(".discrepancy .id")).to_have_text(first)


def test_filter_by_fate_survives_a_refresh(page):
    page.locator("#filter-label_flip").click()
    expect(page.locator("#filter-label_flip")).to_have_attribute("aria-current", "true")
    page.evaluate("document.querySelector('.reason').textContent = 'stale'")
    expect(page.locator(".reason")).not_to_have_text("stale")
    expect(page.locator("#filter-label_flip")).to_have_attribute("aria-current", "true")


def test_flips_are_said_to_live_where_they_do(page):
    region = page.locator(".regions code").first
    low, high = re.search(
        r"(3\.9\d*|4) < .* ≤ (4\.9\d*|5)", region.inner_text()
    ).groups()
    assert 3.9 < float(low) < 4.05 and 4.9 < float(high) < 5.05
    expect(page.locator(".regions span").first).to_contain_text(
        "holds 100 % of all flips"
    )
    expect(page.locator(".legend")).to_contain_text("both say setosa")


def test_axes_can_be_chosen(page):
    page.get_by_label("Across").select_option("y")
    expect(page.locator(".plot .axis").first).to_have_text("y")
    assert "across=y" in page.url


def test_strangers_text_stays_text_wherever_it_is_shown(page):
    expect(page.locator(".matrix thead")).to_contain_text(HOSTILE[:30])
    page.locator(".discrepancy summary").first.click()
    body = page.locator(".discrepancy .request pre").first
    expect(body).to_contain_text("onerror=alert(1)")
    assert page.locator("img, iframe").count() == 0


def copied(page, button):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".discrepancy summary").first.click()
    page.get_by_role("button", name=button).first.click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    return page.evaluate("navigator.clipboard.readText()")


def test_curl_that_is_copied_shows_the_difference_again(page):
    text = copied(page, "Copy as curl")
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, timeout=20
    )
    live, shadow = done.stdout.replace("}{", "}\n{").splitlines()
    labels = [json.loads(one)["predictions"][0]["label"] for one in (live, shadow)]
    assert labels == ["setosa", HOSTILE]


def test_pytest_that_is_copied_fails_until_the_shadow_agrees(page, flipping, tmp_path):
    path = tmp_path / "test_copied.py"
    path.write_text(copied(page, "Copy as pytest"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(path),
    ]

    def run(**environment):
        return subprocess.run(
            command, env=flipping.env | environment, cwd=tmp_path, capture_output=True
        ).returncode

    assert run() == 1
    assert run(SHADOW_URL=flipping.live_url) == 0


def test_report_can_be_read_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the report")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#gate-measurement-open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#gate-measurement .gate-more")).to_be_visible()
    page.locator("#filter-label_flip").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/?fate=label_flip#discrepancies")
    page.locator(".discrepancy summary").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".discrepancy .sides").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1240])
def test_page_is_accessible_and_fits(browser, flipping, scheme, width):
    view = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with watch_page(browser, flipping.url, **view) as page:
        page.get_by_role("button", name="Pause").click()
        page.evaluate(
            "document.querySelectorAll('details').forEach(one => { one.open = true; })"
        )
        too_wide = page.evaluate(
            "Array.from(document.querySelectorAll('body *')).filter(one => "
            "!one.closest('.scroll, pre, svg') && "
            "one.getBoundingClientRect().right > innerWidth + 1)"
            ".map(one => one.outerHTML.slice(0, 200))"
        )
        assert too_wide == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light, dark = "rgb(248, 247, 250)", "rgb(19, 18, 24)"
        assert paper == (dark if scheme == "dark" else light)


def test_file_shows_the_same_from_a_disk(browser, flipping, page, tmp_path):
    path = tmp_path / "report.html"
    assert flipping.run("report", "--output", str(path)).returncode == 0
    page.get_by_role("button", name="Pause").click()
    page.reload()
    with watch_page(browser, path.as_uri()) as file:
        assert tiles(file) == tiles(page)
        for part in ("h1", ".reason", ".gates .pill", ".gate-value", ".matrix td"):
            assert file.locator(part).all_inner_texts() == (
                page.locator(part).all_inner_texts()
            )
        file.locator(".discrepancy summary").first.click()
        expect(file.locator(".discrepancy .sides").first).to_be_visible()
        for name in ("script", "button", "form", "input", "dialog"):
            assert file.locator(name).count() == 0


def test_page_says_what_to_do_when_nothing_was_compared(browser, live, shadow, start):
    system = start(live.url, shadow.url)
    with watch_page(browser, f"http://127.0.0.1:{system.private}/") as page:
        expect(page.locator("h1")).to_have_text("INCONCLUSIVE")
        expect(page.locator(".reason")).to_have_text(
            "No two answers have been compared yet."
        )
        expect(page.locator("#report")).to_contain_text(
            "Send traffic to the public port"
        )


def test_dead_shadow_is_said_on_the_page_in_the_json_and_in_the_terminal(
    browser, live, start
):
    gone = refused_url()
    system = start(live.url, gone, BREAKER_FAILURES=3)
    post_many(system, 20)
    system.settled_fates()
    said = f"nobody answers at {gone}"
    report = json.loads(system.private_get("/report.json")[1])
    assert report["verdict"]["state"] == "FAIL"
    assert report["verdict"]["reason"].startswith(f"{said}; ")
    assert f"WARNING {said}; it gets a probe a second" in system.log
    done = system.run("verdict")
    assert done.stdout.startswith(f"FAIL: {said}; ")
    assert f"shadow: {said}\n" in done.stdout + "\n"
    with watch_page(browser, f"http://127.0.0.1:{system.private}/") as page:
        expect(page.locator(".reason")).to_contain_text(said[1:])
        expect(page.locator(".version.shadow")).to_contain_text(said)
        # The verdict is there, and other gates are open: nothing more does not help.
        needed = page.locator(".state div").filter(has_text="Still needed")
        expect(needed).to_contain_text("another shadow; ")
        expect(page.locator("#report")).not_to_contain_text("too close to its limit")
        expect(page.locator(".missing").first).to_have_text("has no evidence yet")
