"""The page for everybody: keyboard, screen reader, phone, dark, contrast."""

import re

import pytest
from api_fakes import HostileModel, serve_model
from axe_playwright_python.sync_playwright import Axe
from page_browser import watch_page
from playwright.sync_api import expect

# They work a browser hard; test_api_page has those of every day.
pytestmark = pytest.mark.slow

PHONE = {"width": 360, "height": 780}
DESKTOP = {"width": 1240, "height": 900}
TEXT = [  # colour of the text, colour behind it
    *(
        (text, behind)
        for text in ("ink", "soft", "accent")
        for behind in ("card", "paper", "wash")
    ),
    *(("ink", "fill"), ("soft", "fill"), ("on-accent", "accent"), ("paper", "ink")),
    *(("notice", "notice-wash"), ("notice", "card"), ("bad", "bad-wash")),
]
HEADER = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm"


def contrast(page, one, other):
    """Return the WCAG contrast ratio of two colours of the page's style."""
    return page.evaluate(
        """names => {
            const style = getComputedStyle(document.documentElement);
            const light = names.map((name) => {
                const hex = style.getPropertyValue(`--${name}`).trim().slice(1);
                const parts = [0, 2, 4].map((at) => parseInt(hex.substr(at, 2), 16));
                const linear = parts.map((p) => p / 255).map((p) =>
                    p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
                return linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722;
            });
            return (Math.max(...light) + 0.05) / (Math.min(...light) + 0.05);
        }""",
        [one, other],
    )


def violations(page):
    """Return what axe has to say, each as rule and element."""
    found = Axe().run(page).response["violations"]
    return [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]]


@pytest.fixture(params=["light", "dark"])
def page(request, browser, server):
    """The page in both colour schemes, with its first answer."""
    view = {"color_scheme": request.param, "viewport": DESKTOP}
    with watch_page(browser, server.port, refusals=(422,), **view) as page:
        expect(page.locator("#bars .wins")).to_have_count(1)
        yield page


def test_axe_finds_nothing_when_all_of_the_page_is_shown(page):
    page.get_by_role("slider", name="Petal width").press("End")
    expect(page.locator("#notice")).to_be_visible()
    page.get_by_text("The same as a table").click()
    content = f"{HEADER}\n5.1,3.5,1.4,0.2\n5.1,x,1.4,0.2\n".encode()
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": content}
    page.locator("#file").set_input_files(file)
    expect(page.locator("#refused")).to_be_visible()
    page.evaluate(
        "for (const id of ['alert', 'file-error', 'key-form', 'progress'])"
        " document.getElementById(id).hidden = false;"
        "document.getElementById('alert').textContent = 'An alert.';"
        "document.getElementById('file-error').textContent = 'An alert.';"
    )
    assert violations(page) == []


def test_axe_finds_the_damage_when_there_is_some(page):
    page.evaluate(
        "document.querySelector('.lede').style.color = '#808080';"
        "document.body.style.background = '#707070';"
        "document.querySelector('.slider label').remove();"
        "document.documentElement.removeAttribute('lang');"
    )
    found = {rule for rule, _ in violations(page)}
    assert {"color-contrast", "label", "html-has-lang"} <= found


def test_text_has_contrast_when_read(page):
    found = {pair: contrast(page, *pair) for pair in TEXT}
    assert [pair for pair, ratio in found.items() if ratio < 4.5] == [], found


def test_marks_stand_out_when_their_class_is_drawn(page):
    for position in range(7):
        assert contrast(page, f"class-{position}", "card") >= 3
        assert contrast(page, f"class-{position}", "wash") >= 3


def test_contrast_is_low_when_it_is_measured_between_neighbours(page):
    assert contrast(page, "card", "paper") < 1.3
    assert contrast(page, "ink", "card") > 12


def test_everything_has_a_name_when_a_screen_reader_asks(page):
    snapshot = page.locator("body").aria_snapshot()
    roles = "button|link|slider|spinbutton|combobox|img|region|textbox"
    assert len(re.findall(rf'^\s*- (?:{roles}) "', snapshot, re.M)) >= 25
    assert re.findall(rf"^\s*- (?:{roles})(?::|$)", snapshot, re.M) == []
    for landmark in ("banner", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1
    sections = page.locator("section").evaluate_all(
        "all => all.map((one) => one.getAttribute('aria-labelledby'))"
        ".map((id) => document.getElementById(id).textContent)"
    )
    assert sections == [
        "Predict the species",
        "Your measurements",
        "The model says",
        "Among the training rows",
        "Ask from your own code",
        "Score a file",
    ]
    slider = page.get_by_role("slider", name="Petal width")
    expect(slider).to_have_accessible_description("Training range 0.1 to 2.5 cm")


def test_everything_is_reached_in_reading_order_when_tab_is_pressed(page):
    reached = []
    for _ in range(22):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(({tagName: t, id, textContent: c, ariaLabel: a}) =>"
                " id || a || (t === 'SUMMARY' ? t : c.trim()))(document.activeElement)"
            )
        )
    sliders = [
        name
        for position, label in enumerate(
            ("Sepal length", "Sepal width", "Petal length", "Petal width")
        )
        for name in (f"{label} in cm, exact value", f"slider-{position}")
    ]
    assert reached == [
        *("Skip to the sliders", "API documentation", "Model card"),
        *("setosa", "versicolor", "virginica"),
        *sliders,
        *("axis-x", "axis-y", "SUMMARY"),
        *("copy-curl", "curl", "copy-python", "python", "file"),
    ]


def test_focus_is_seen_when_a_slider_or_the_file_has_it(page):
    for selector in ("#file", "#copy-curl", "#axis-x"):
        page.locator(selector).focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        target = "#drop" if selector == "#file" else selector
        outline = page.locator(target).evaluate("e => getComputedStyle(e).outlineStyle")
        assert outline == "solid", selector


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_needs_no_scrolling_sideways_when_everything_is_shown(
    browser, server, scheme
):
    view = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True}
    with watch_page(browser, server.port, **view) as page:
        expect(page.locator("#label")).to_have_text("setosa")
        page.get_by_text("The same as a table").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert violations(page) == []


def test_phone_needs_no_scrolling_sideways_when_names_are_long(browser, tmp_path):
    with serve_model(HostileModel(), tmp_path / "r.jsonl") as port:
        with watch_page(browser, port, viewport=PHONE) as page:
            expect(page.locator("#label")).to_contain_text("script")
            assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_phone_keeps_the_answer_in_sight_when_the_sliders_hide_it(browser, server):
    with watch_page(browser, server.port, viewport=PHONE) as page:
        pinned = page.locator("#pinned")
        expect(pinned).to_be_visible()
        share = page.locator("#share").text_content
        expect(pinned).to_have_text(f"setosa · {share()}")
        page.locator("#answer").scroll_into_view_if_needed()
        expect(pinned).to_be_hidden()


def test_bars_move_only_when_motion_is_wanted(browser, server):
    found = []
    for motion in ("no-preference", "reduce"):
        page = browser.new_page(reduced_motion=motion)
        page.goto(f"http://127.0.0.1:{server.port}/")
        bar = page.locator(".bar-fill").first
        found.append(bar.evaluate("e => getComputedStyle(e).transitionDuration"))
        page.close()
    assert found == ["0.18s", "0s"]


def test_dark_page_is_dark_when_asked(browser, server):
    with watch_page(browser, server.port, color_scheme="dark") as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(19, 18, 24)"
