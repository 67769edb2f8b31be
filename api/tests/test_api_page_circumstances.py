"""The page in other circumstances: another model, a key, a service that goes away."""

import json
import os
import shutil
import sys

import pytest
from api_fakes import (
    HOSTILE_CLASSES,
    HOSTILE_NAMES,
    NAMES,
    HostileModel,
    WineModel,
    serve_model,
)
from api_server import free_port, start_server
from page_browser import copied, find_browser, run, watch_page
from playwright.sync_api import expect

from iris_api.access.keys import make_key


@pytest.mark.slow
def test_page_serves_another_model_when_it_came_without_rows(browser, tmp_path):
    with serve_model(WineModel(), tmp_path / "r.jsonl") as port:
        with watch_page(browser, port) as page:
            expect(page.locator("#label")).to_have_text("barolo")
            expect(page.get_by_role("slider")).to_have_count(len(NAMES))
            expect(page.locator("#plot .mark")).to_have_count(0)
            expect(page.locator("#plot .you .dot")).to_have_count(1)
            page.get_by_role("slider", name="Alcohol").press("Home")
            page.get_by_label("Alcohol in cm, exact value").fill("-1")
            expect(page.locator("#label")).to_have_text("grignolino")


@pytest.mark.slow
def test_names_are_text_when_they_are_markup_and_code(browser, tmp_path):
    with serve_model(HostileModel(), tmp_path / "r.jsonl") as port:
        with watch_page(browser, port) as page:
            expect(page.locator("#label")).to_have_text(HOSTILE_CLASSES[0])
            expect(page.locator("h1")).to_have_text("Predict the <i>target</i>")
            labels = page.locator(".slider label").all_text_contents()
            assert [label.lower() for label in labels] == [
                name.lower().replace("_", " ") for name in HOSTILE_NAMES
            ]
            assert page.locator("main script, main img, textarea").count() == 0
            assert page.title() != "owned"
            command, program = copied(page, "Copy as curl"), copied(
                page, "Copy as Python"
            )
        answer = json.loads(run("sh", "-c", command, cwd=tmp_path))
        assert answer["predictions"][0]["label"] == HOSTILE_CLASSES[0]
        answer = eval(run(sys.executable, "-c", program, cwd=tmp_path))
        assert answer["label"] == HOSTILE_CLASSES[0]
        assert not (tmp_path / "owned").exists()


@pytest.mark.slow
def test_key_is_asked_for_and_forgotten_when_the_api_wants_one(browser, tmp_path):
    key, line = make_key("visitor")
    (tmp_path / "keys").write_text(f"{line}\n")
    settings = {"IRIS_API_KEYS": str(tmp_path / "keys")}
    settings["IRIS_API_RECORDS"] = str(tmp_path / "r.jsonl")
    with start_server(**settings) as server:
        with watch_page(browser, server.port, refusals=(401,)) as page:
            field = page.get_by_label("API key")
            field.fill("wrong")
            field.press("Enter")
            note = page.locator("#key-note")
            expect(note).to_contain_text("does not take this key")
            field.fill(key)
            page.get_by_role("button", name="Use this key").click()
            expect(page.locator("#label")).to_have_text("setosa")
            expect(field).to_be_hidden()
            assert key not in page.content()
            assert page.evaluate("localStorage.length + sessionStorage.length") == 0
            assert page.context.cookies() == []
            command = copied(page, "Copy as curl")
            program = copied(page, "Copy as Python")
        environment = {**os.environ, "API_KEY": key}
        answer = json.loads(run("sh", "-c", command, env=environment))
        assert answer["predictions"][0]["label"] == "setosa"
        answer = eval(run(sys.executable, "-c", program, env=environment))
        assert answer["label"] == "setosa"
        assert server.send("GET", "/page/data.json").status == 401


@pytest.mark.slow
def test_page_goes_on_when_the_service_comes_back(browser, tmp_path):
    port = str(free_port())
    settings = {"IRIS_API_PORT": port, "IRIS_API_RECORDS": str(tmp_path / "r.jsonl")}
    refused = "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    with start_server(**settings) as first:
        context = browser.new_context()
        page = context.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("#label")).to_have_text("setosa")
        first.stop()
    table = b"sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm\n5,3,1,0\n"
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": table}
    page.locator("#file").set_input_files(file)
    expect(page.locator("#file-error")).to_have_text(
        "The service does not answer; try again later."
    )
    page.get_by_role("button", name="virginica").click()
    notice = page.locator("#notice")
    expect(notice).to_have_text("The service does not answer; trying again.")
    with start_server(**settings):
        expect(page.locator("#label")).to_have_text("virginica")
        expect(notice).to_be_hidden()
    assert set(said) == {refused}
    context.close()


@pytest.mark.slow
def test_page_says_that_it_waits_when_the_record_cannot_be_written(browser):
    with start_server(IRIS_API_RECORDS="/dev/full") as server:
        with watch_page(browser, server.port, refusals=(503,)) as page:
            expect(page.locator("#notice")).to_have_text(
                "The service is busy; asking again in 5 s."
            )


def test_browser_is_named_when_there_is_none(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AssertionError, match="install one of chromium, "):
        find_browser()


def cap_bodies(app):
    """Wrap an application as a proxy does that takes small bodies alone."""

    async def proxy(scope, receive, send):
        length = int(dict(scope["headers"]).get(b"content-length", b"0"))
        if length <= 2000:
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/html")]
        start = {"type": "http.response.start", "status": 413, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"<h1>Too large</h1>"})

    return proxy


@pytest.mark.slow
def test_rows_are_halved_when_something_between_takes_small_bodies(browser, tmp_path):
    names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in NAMES]
    good = ",".join(["1"] * len(NAMES))
    long = ",".join(["x" * 200] * len(NAMES))
    lines = [",".join(names), *[good] * 40, long, *[good] * 40]
    content = "\n".join(lines).encode()
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": content}
    with serve_model(WineModel(), tmp_path / "r.jsonl", cap_bodies) as port:
        with watch_page(browser, port, refusals=(413,)) as page:
            page.locator("#file").set_input_files(file)
            expect(page.locator("#result-text")).to_have_text(
                "80 rows scored: 80 barolo; 1 row refused."
            )
            expect(page.locator("#refused tbody tr")).to_have_text(
                "42the service answered 413/inputs/40"
            )
