"""The page at ``/`` in a real browser: sliders, answer, scatter plot, snippets."""

import json
import re
import sys

import pytest
from api_server import ROW
from page_browser import copied, expect_prediction, run, watch_page
from playwright.sync_api import expect


@pytest.fixture
def page(browser, server):
    """The page of the installed model, with its first answer."""
    with watch_page(browser, server.port) as page:
        expect(page.locator("#bars .wins")).to_have_count(1)
        yield page


def ask(server, row):
    """Return what the API says of one row."""
    return server.predict({"inputs": [row]}).json["predictions"][0]


def test_page_shows_the_answer_of_the_api_when_opened(page, server):
    answer = ask(server, ROW)
    expect_prediction(page, answer)
    widths = page.locator(".bar-fill").evaluate_all(
        "all => all.map(one => one.offsetWidth / one.parentElement.offsetWidth)"
    )
    assert widths == pytest.approx(list(answer["probabilities"].values()), abs=0.005)


@pytest.mark.slow
def test_page_tells_model_and_accuracy_when_opened(page, server):
    card = server.send("GET", "/v1/model").json
    assert page.title() == f"Predict the species · iris_model {card['version']}"
    expect(page.locator("h1")).to_have_text("Predict the species")
    expect(page.locator(".brand")).to_have_text(f"iris_model {card['version']}")
    mean = card["metrics"]["accuracy"]["mean"] * 100
    # Of the rows, not of the repeats of cross-validation, which asks them again.
    error = (mean * (100 - mean) / 150) ** 0.5
    expect(page.locator("#facts dd")).to_have_text(
        [f"{mean:.1f} ± {error:.1f} %", "3", "150"]
    )
    expect(page.locator("#facts dt").first).to_have_text(
        "Cross-validated accuracy ± sampling error of 150 rows"
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", ["docs", "v1/model"])
def test_page_links_to_what_is_there_when_followed(page, server, path):
    assert page.locator(f'nav a[href="{path}"]').count() == 1
    assert server.send("GET", f"/{path}").status == 200


@pytest.mark.slow
def test_answer_follows_when_a_slider_is_moved_by_keyboard(page, server):
    slider = page.get_by_role("slider", name="Petal length")
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("4.4")
    expect_prediction(page, ask(server, {**ROW, "petal_length_cm": 4.4}))


@pytest.mark.slow
def test_slider_is_reached_when_tab_is_pressed_from_the_skip_link(page):
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for _ in range(5):  # three examples and the exact value come first
        page.keyboard.press("Tab")
    expect(page.get_by_role("slider", name="Sepal length")).to_be_focused()


@pytest.mark.slow
def test_each_class_is_found_when_its_example_is_chosen(page):
    for name in ("virginica", "versicolor", "setosa"):
        page.get_by_role("group", name="Example rows").get_by_text(name).click()
        expect(page.locator("#label")).to_have_text(name)
        expect(page.get_by_role("button", pressed=True)).to_have_text(name)
    page.get_by_role("slider", name="Petal width").press("ArrowRight")
    expect(page.get_by_role("button", pressed=True)).to_have_count(0)


@pytest.mark.slow
def test_value_beyond_the_slider_is_asked_when_it_is_typed(page, server):
    field = page.get_by_label("Sepal width in cm, exact value")
    field.fill("12.25")
    expect_prediction(page, ask(server, {**ROW, "sepal_width_cm": 12.25}))
    expect(page.locator("#curl")).to_contain_text('"sepal_width_cm": 12.25')


@pytest.mark.slow
def test_last_value_stays_when_what_is_typed_is_no_number(page):
    field = page.get_by_label("Sepal width in cm, exact value")
    field.fill("")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.blur()
    expect(field).to_have_value("3.5")
    expect(page.locator("#curl")).to_contain_text('"sepal_width_cm": 3.5')


@pytest.mark.slow
def test_notice_appears_when_a_value_lies_outside_the_data(page):
    notice = page.locator("#notice")
    expect(notice).to_be_hidden()
    slider = page.get_by_role("slider", name="Petal width")
    slider.press("End")
    text = (
        "Outside the training rows: Petal width (0.1 to 2.5 cm). "
        "Take the answer with care."
    )
    expect(notice).to_have_text(text)
    expect(slider).to_have_attribute(
        "aria-valuetext", "3.1 cm, outside the training range"
    )
    slider.press("Home")
    expect(slider).to_have_value("0")
    page.get_by_role("button", name="setosa").click()
    expect(notice).to_be_hidden()


@pytest.mark.slow
def test_answer_is_announced_once_when_the_visitor_rests(page):
    expect(page.locator("#announce")).not_to_be_empty()
    page.evaluate(
        "() => { window.heard = []; new MutationObserver(() => heard.push("
        "document.getElementById('announce').textContent))"
        ".observe(document.getElementById('announce'), {childList: true}); }"
    )
    page.get_by_role("slider", name="Petal width").evaluate(
        "slider => { for (let i = 0; i < 10; i += 1) { slider.stepUp();"
        " slider.dispatchEvent(new Event('input')); } }"
    )
    share = page.locator("#share").text_content
    page.wait_for_timeout(900)
    assert page.locator("#announce").get_attribute("role") == "status"
    label = page.locator("#label").text_content()
    assert page.evaluate("heard") == [f"{label}, {share()}. "]


@pytest.mark.slow
def test_scatter_shows_every_training_row_when_axes_change(page):
    marks = page.locator("#plot .points .mark")
    expect(marks).to_have_count(150)
    for position in range(3):
        expect(page.locator(f"#plot .points .class-{position}")).to_have_count(50)
    shapes = marks.evaluate_all("all => all.map(one => one.getAttribute('d'))")
    assert len(set(shapes)) == 3
    assert page.locator("#axis-x option:checked").text_content() == "Petal length"
    before = marks.first.get_attribute("transform")
    page.get_by_label("Across").select_option("Sepal width")
    expect(marks.first).not_to_have_attribute("transform", before)
    expect(page.locator("#plot svg")).to_have_attribute(
        "aria-label", re.compile("^Scatter plot of Sepal width and Petal width: 150 ")
    )


@pytest.mark.slow
def test_scatter_moves_the_point_when_it_is_clicked(page, server):
    page.locator("#plot").scroll_into_view_if_needed()
    mark = page.locator("#plot .points .mark").nth(149)  # 5.1 and 1.8
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    moved = {**ROW, "petal_length_cm": 5.1, "petal_width_cm": 1.8}
    expect_prediction(page, ask(server, moved))
    expect(page.get_by_role("slider", name="Petal length")).to_have_value("5.1")


@pytest.mark.slow
def test_scatter_is_a_table_too_when_that_is_opened(page):
    page.get_by_text("The same as a table").click()
    rows = page.locator("#rows-table tbody tr")
    expect(rows).to_have_count(151)
    expect(rows.nth(0)).to_have_text("Your point: setosa1.40.2")
    expect(rows.nth(150)).to_have_text("virginica5.11.8")


@pytest.mark.slow
def test_curl_command_answers_as_the_page_does_when_run(page, server):
    page.get_by_role("button", name="virginica").click()
    expect(page.locator("#label")).to_have_text("virginica")
    command = copied(page, "Copy as curl")
    assert command.startswith(f"curl -s http://127.0.0.1:{server.port}/v1/predict \\")
    answer = json.loads(run("sh", "-c", command))
    expect_prediction(page, answer["predictions"][0])


@pytest.mark.slow
def test_python_program_answers_as_the_page_does_when_run(page):
    page.get_by_role("button", name="versicolor").click()
    expect(page.locator("#label")).to_have_text("versicolor")
    program = copied(page, "Copy as Python")
    answer = eval(run(sys.executable, "-c", program))
    expect_prediction(page, answer)


@pytest.mark.slow
def test_watch_sees_a_breach_when_the_policy_forbids_a_style(browser, server):
    with pytest.raises(AssertionError, match="Content Security Policy"):
        with watch_page(browser, server.port) as page:
            page.evaluate("document.body.setAttribute('style', 'color: red')")
            page.wait_for_timeout(200)


@pytest.mark.slow
def test_watch_sees_a_breach_when_another_origin_is_asked(browser, server):
    with pytest.raises(AssertionError, match="http://localhost:1/"):
        with watch_page(browser, server.port) as page:
            page.evaluate("fetch('http://localhost:1/').catch(() => {})")
            page.evaluate("document.body.append(new Image())")
            page.wait_for_timeout(200)
