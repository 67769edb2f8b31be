"""What the page changes, in a real browser: switches, known discrepancies, labels."""

import contextlib
import http.client
import json
import subprocess
from datetime import date, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from report_browser import watch_page
from router_system import System
from test_router_page import HOSTILE, answering, rows, send, tiles

OPEN = {"sample_rate": 1.0, "killed": False, "closed": False}
LATER = (date.today() + timedelta(days=30)).isoformat()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A system whose shadow says something hostile wherever 4 <= x < 5."""
    directory = tmp_path_factory.mktemp("controls") / "data"
    live, shadow = answering("1.0.0", 5), answering("1.1.0", 5, HOSTILE)
    with live, shadow, System(directory, live.url, shadow.url) as system:
        send(system, rows(3, 6))
        system.url = f"http://127.0.0.1:{system.private}/"
        yield system


@pytest.fixture
def page(browser, running):
    with watch_page(browser, running.url) as page:
        yield page


def key_of(system):
    return (system.directory / "control.key").read_text().split()[1]


def give_key(page, system):
    page.get_by_role("button", name="Controls").click()
    page.get_by_label("Control key").fill(key_of(system))
    page.keyboard.press("Enter")
    expect(page.locator("#control-said")).to_have_text("The key is used from now on.")


def state_shown(page):
    names = page.locator(".state dt").all_inner_texts()
    return dict(zip(names, page.locator(".state dd").all_inner_texts(), strict=True))


@pytest.mark.slow
def test_rate_is_set_by_keyboard_alone(page, running):
    page.locator("#controls-open").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Control key")).to_be_focused()
    page.keyboard.type(key_of(running))
    page.keyboard.press("Enter")
    rate = page.get_by_label("Requests copied, in percent")
    expect(rate).to_be_focused()
    expect(rate).to_have_value("100")
    rate.fill("12.5")
    page.keyboard.press("Enter")
    expect(page.locator("#control-said")).to_have_text(
        "12.5 % of the requests are copied from now on."
    )
    assert running.report()["controls"] == OPEN | {"sample_rate": 0.125}
    page.keyboard.press("Escape")
    expect(page.locator("#controls")).not_to_be_visible()
    expect(page.locator("#controls-open")).to_be_focused()
    # At once, not when the page would have been renewed anyway.
    expect(page.locator(".state")).to_contain_text("12.5 %")
    assert running.control("sample-rate", '{"rate": 1}')[0] == 200


@pytest.mark.slow
def test_rate_beyond_its_limits_is_not_even_sent(page, running):
    give_key(page, running)
    rate = page.get_by_label("Requests copied, in percent")
    rate.fill("101")
    page.get_by_role("button", name="Set the rate").click()
    assert not rate.evaluate("one => one.validity.valid")
    assert running.report()["controls"] == OPEN


@pytest.mark.slow
def test_kill_switch_goes_on_and_off(page, running):
    give_key(page, running)
    page.get_by_role("button", name="Stop calling the shadow").click()
    expect(page.locator("#control-said")).to_have_text(
        "The shadow is not called any more."
    )
    assert running.report()["controls"]["killed"] is True
    expect(page.locator("#switches")).to_contain_text("on: no copies")
    page.get_by_role("button", name="Call the shadow again").click()
    expect(page.locator("#control-said")).to_have_text("The shadow is called again.")
    assert running.report()["controls"] == OPEN
    assert running.report()["changes"][-1]["who"] == "local"


@pytest.mark.slow
def test_run_is_closed_only_when_it_is_confirmed(browser, live, shadow, start):
    system = start(live.url, shadow.url)
    with watch_page(browser, f"http://127.0.0.1:{system.private}/") as page:
        give_key(page, system)
        page.get_by_role("button", name="Close the run…").click()
        expect(page.get_by_role("button", name="Keep it open")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Close the run…")).to_be_focused()
        assert system.report()["controls"] == OPEN
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Close it for good").click()
        expect(page.locator("#control-said")).to_have_text("The run is closed.")
        assert system.report()["controls"]["closed"] is True
        for name in ("Set the rate", "Stop calling the shadow", "The run is closed"):
            expect(page.get_by_role("button", name=name)).to_be_disabled()
        page.reload()
        assert state_shown(page)["Run"] == "closed"
        page.get_by_role("button", name="Controls").click()
        expect(page.get_by_label("Requests copied, in percent")).to_be_disabled()


@pytest.mark.slow
def test_wrong_key_changes_nothing_and_is_forgotten(browser, running):
    with watch_page(browser, running.url, refused=[401]) as page:
        page.get_by_role("button", name="Controls").click()
        page.get_by_label("Control key").fill("0123456789abcdef")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Stop calling the shadow").click()
        expect(page.locator("#control-said")).to_have_text(
            "This key is not in the file of keys; nothing was changed."
        )
        expect(page.get_by_label("Control key")).to_be_focused()
        assert running.report()["controls"] == OPEN
        assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.slow
def test_refusal_is_one_clear_sentence(browser, live, shadow, start):
    system = start(live.url, shadow.url)
    with watch_page(browser, f"http://127.0.0.1:{system.private}/", [409]) as page:
        give_key(page, system)
        # Closed by somebody else while this page stood still.
        page.evaluate("document.getElementById('pause').click()")
        assert system.control("close-run", '{"closed": true}')[0] == 200
        page.get_by_role("button", name="Stop calling the shadow").click()
        expect(page.locator("#control-said")).to_have_text(
            "This run is closed; a new one begins with a new data directory "
            "(SHADOW_ROUTER_DATA_DIR)."
        )


@pytest.mark.slow
def test_key_is_kept_in_the_tab_and_nowhere_else(page, running):
    give_key(page, running)
    key = key_of(running)
    page.reload()
    assert page.evaluate("Object.values(sessionStorage)") == [key]
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert key not in page.url and key not in page.content()
    page.get_by_role("button", name="Controls").click()
    page.get_by_role("button", name="Forget it").click()
    assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.slow
def test_page_says_how_to_make_a_key_when_there_is_none(browser, live, shadow, start):
    system = start(live.url, shadow.url)
    path = system.directory / "control.key"
    path.unlink()
    with watch_page(browser, f"http://127.0.0.1:{system.private}/") as page:
        page.get_by_role("button", name="Controls").click()
        dialog = page.locator("#controls")
        expect(dialog).to_contain_text(f"No control key can be used: {path}")
        expect(dialog).to_contain_text("NAME KEY")
        expect(dialog).to_contain_text("SHADOW_ROUTER_CONTROL_KEY_FILE")
        path.write_text("ann 0123456789abcdef\n")
        page.reload()
        give_key(page, system)


@pytest.mark.slow
def test_discrepancy_is_marked_as_known_with_reason_and_last_day(page, running):
    before = running.report()["verdict"]["state"]
    page.locator("#filter-label_flip").click()
    first = page.locator(".discrepancy").first
    first.locator("summary").first.click()
    first.get_by_text("mark as known", exact=True).click()
    expect(first.locator(".mark-form")).to_contain_text("label flip from setosa to")
    button = first.get_by_role("button", name="Mark as known")
    button.click()
    assert not first.get_by_label("Reason").evaluate("one => one.validity.valid")
    first.get_by_label("Reason").fill("the border moved <b>")
    # What was typed outlives what the page does by itself.
    page.locator("#pause").focus()
    page.evaluate("document.querySelector('.reason').textContent = 'stale'")
    expect(page.locator(".reason")).not_to_have_text("stale")
    expect(first.get_by_label("Reason")).to_have_value("the border moved <b>")
    first.get_by_label("Known until").fill(LATER)
    button.click()
    # No key yet: it is asked for, and then the mark is made.
    page.get_by_label("Control key").fill(key_of(running))
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text(f"Known until {LATER}.")
    expect(first.locator(".pill.known")).to_have_text("known")
    expect(first.locator(".facts")).to_contain_text("the border moved <b>")
    expect(first.locator(".facts")).to_contain_text(f"known until {LATER}")
    found = running.report()
    entry = found["known"][0]
    assert (entry["fate"], entry["live"], entry["shadow"], entry["expires"]) == (
        *("label_flip", "setosa", HOSTILE),
        LATER,
    )
    assert found["discrepancies"][0]["known"] == "the border moved <b>"
    assert found["verdict"]["state"] == before


@pytest.mark.slow
def test_label_is_given_by_a_button_and_leaves_the_queue(page, running):
    give_key(page, running)
    page.get_by_role("button", name="Done").click()
    section = page.locator("section", has=page.locator("#asking"))
    expect(section).to_contain_text("No labels have arrived, so nobody is judged.")
    question = section.locator(".questions li").first
    expect(question.locator(".given dt").nth(1)).to_have_text("y")
    # Nothing says which version said which, nor how sure live was.
    for word in ("live", "shadow", "margin"):
        assert word not in section.locator(".questions").inner_html()
    asked = question.locator("button").first.get_attribute("id")
    question.get_by_role("button", name="setosa", exact=True).click()
    said = page.locator("#said")
    expect(said).to_contain_text("Taken: it was setosa. Whose answer that was is told")
    expect(section.locator(f"#{asked}")).to_have_count(0)
    expect(section.locator(".choices button").first).to_be_focused()
    expect(section).to_contain_text("Not decided yet: it needs about")
    expect(section).to_contain_text(
        "Inputs on which one version alone is right: 1; live is it in 100% of them"
    )
    last = section.locator(".given-labels li")
    expect(last).to_contain_text("setosa: live said setosa, the shadow")
    expect(last).to_contain_text("live's margin")
    assert running.report()["labels"]["negative_flips"] == 1
    last.get_by_role("button", name="Undo").click()
    expect(said).to_have_text("The label is taken back, and asked for again.")
    expect(section).to_contain_text("No labels have arrived, so nobody is judged.")
    expect(section.locator(f"#{asked}")).to_have_count(1)
    assert running.report()["labels"]["labelled"] == 0


@pytest.mark.slow
def test_another_label_is_given_by_its_name_and_taken_back(page, running):
    give_key(page, running)
    page.get_by_role("button", name="Done").click()
    section = page.locator("section", has=page.locator("#asking"))
    form = section.locator(".label-form").first
    form.get_by_label("or").fill("a <b>rare</b> one")
    form.get_by_role("button", name="Give it").click()
    last = section.locator(".given-labels li")
    expect(last).to_contain_text("a <b>rare</b> one: live said")
    assert running.report()["labels"]["positive_flips"] == 0
    assert running.report()["labels"]["labelled"] == 1
    last.get_by_role("button", name="Undo").click()
    expect(last).to_have_count(0)


@pytest.mark.slow
def test_discrepancy_does_not_say_whose_label_is_whose_while_it_is_asked_about(
    page, running
):
    asked = page.locator(".choices button").evaluate_all(
        "all => all.map(one => one.dataset.request)"
    )
    summaries = {
        one.locator("code").inner_text(): one.locator(".what").inner_text()
        for one in page.locator(".discrepancy > summary").all()
    }
    hidden = "one of those asked about above: label it first"
    for request_id, said in summaries.items():
        assert (said == hidden) == (request_id in asked)


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1240])
def test_second_click_meets_the_button_that_keeps_the_run_open(browser, running, width):
    view = {"viewport": {"width": width, "height": 800}}
    with watch_page(browser, running.url, **view) as page:
        give_key(page, running)
        page.get_by_role("button", name="Close the run…").dblclick()
        expect(page.get_by_role("button", name="Close the run…")).to_be_focused()
    assert running.report()["controls"] == OPEN


@pytest.mark.slow
def test_curl_that_is_copied_gives_a_label(page, running):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    before = running.report()["labels"]["labelled"]
    page.locator("#label-curl-copy").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    text = page.evaluate("navigator.clipboard.readText()")
    text = text.replace("THE-TRUE-LABEL", "versicolor")
    done = subprocess.run(
        ["bash", "-c", text],
        env=running.env | {"KEY": key_of(running)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert json.loads(done.stdout)["joined"] == 1, done
    assert running.report()["labels"]["labelled"] == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1240])
def test_controls_are_accessible_and_fit(browser, running, scheme, width):
    view = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with watch_page(browser, running.url, **view) as page:
        page.get_by_role("button", name="Controls").click()
        for step in ("", "Use this key", "Close the run…"):
            if step == "Use this key":
                page.get_by_label("Control key").fill(key_of(running))
            if step:
                page.get_by_role("button", name=step).click()
            assert (
                page.evaluate(
                    "Array.from(document.querySelectorAll('#controls, #controls *'))"
                    ".filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
                    ".map(one => one.outerHTML.slice(0, 200))"
                )
                == []
            )
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
        assert tiles(page)["Compared"] == "60"


def ask(system, body, method="POST", path="/known", **headers):
    sent = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {key_of(system)}",
    } | headers
    connection = http.client.HTTPConnection("127.0.0.1", system.private, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


MARK = {"fate": "contract_break", "reason": "seen", "expires": "2999-01-01"}


@pytest.mark.parametrize(
    ("status", "changes", "how"),
    [
        (405, {}, {"method": "GET"}),
        (401, {}, {"Authorization": "Bearer 0123456789abcdef"}),
        (403, {}, {"Origin": "http://evil.example"}),
        (415, {}, {"Content-Type": "application/x-www-form-urlencoded"}),
        (422, {"reason": ""}, {}),
        (422, {"reason": 7}, {}),
        (422, {"expires": "2001-01-01"}, {}),
        (422, {"expires": "soon"}, {}),
        (422, {"fate": "match"}, {}),
        (422, {"more": "x"}, {}),
    ],
)
def test_mark_is_refused_and_nothing_kept_when_it_is_asked_for_wrongly(
    running, status, changes, how
):
    before = running.report()["known"]
    found, problem = ask(running, json.dumps(MARK | changes), **how)
    assert (found, problem["status"]) == (status, status)
    assert problem["detail"]
    assert running.report()["known"] == before


def test_mark_is_refused_when_it_is_not_json_or_too_long(running):
    assert ask(running, "fate=match")[0] == 400
    assert ask(running, json.dumps(MARK | {"live": "x" * 20_000}))[0] == 413
