"""Scoring a CSV on the page: chunks, bad rows, and the file that comes back."""

import csv
import io
import json

import pytest
from api_fakes import NAMES, WineModel, serve_model
from api_server import ROW
from page_browser import watch_page
from playwright.sync_api import expect

# They work a browser hard; test_api_page has those of every day.
pytestmark = pytest.mark.slow

HEADER = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm"
NOT_A_NUMBER = "must be a number, written without quotes"
ADDED = [
    "label",
    "probability_setosa",
    "probability_versicolor",
    "probability_virginica",
    "out_of_range",
    "reason",
    "pointer",
]


@pytest.fixture
def page(browser, server):
    """The page of the installed model; refused rows are answered 422."""
    with watch_page(browser, server.port, refusals=(422,)) as page:
        yield page


def upload(page, content, name="flowers.csv"):
    """Choose a file with this content."""
    if isinstance(content, str):
        content = content.encode()
    file = {"name": name, "mimeType": "text/csv", "buffer": content}
    page.locator("#file").set_input_files(file)


def test_file_is_taken_when_it_was_chosen_before_the_page_was_ready(page):
    held = []
    page.route("**/page/data.json", lambda route: held.append(route))
    page.reload(wait_until="commit")
    upload(page, HEADER)
    page.wait_for_timeout(200)
    assert page.locator("#file-error").is_hidden()
    held[0].continue_()
    expect(page.locator("#file-error")).to_have_text(
        "flowers.csv holds no rows below a header."
    )


def download(page):
    """Return name, header and rows of the file that the page offers."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    text = download.value.path().read_bytes().decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return download.value.suggested_filename, header, rows


def refused(page):
    """Return line, reason and pointer of each refused row shown."""
    rows = page.locator("#refused tbody tr")
    return [row.locator("td").all_text_contents() for row in rows.all()]


def test_rows_are_scored_as_the_api_does_when_a_file_is_chosen(page, server):
    lines = ["5.1,3.5,1.4,0.2", "6.3,3.3,6.0,2.5", "5.1,3.5,1.4,9"]
    upload(page, "\n".join([HEADER, *lines]))
    expect(page.locator("#result-text")).to_have_text(
        "3 rows scored: 1 setosa, 2 virginica."
    )
    expect(page.locator("#result-text")).to_be_focused()
    expect(page.locator("#result-note")).to_contain_text("1 row outside")
    expect(page.locator("#refused")).to_be_hidden()
    name, header, rows = download(page)
    assert name == "flowers_scored.csv"
    assert header == [*HEADER.split(","), *ADDED]
    names = HEADER.split(",")
    inputs = [dict(zip(names, map(float, line.split(",")))) for line in lines]
    answer = server.predict({"inputs": inputs}).json["predictions"]
    for row, line, prediction in zip(rows, lines, answer, strict=True):
        assert row[:4] == line.split(",")
        assert row[4] == prediction["label"]
        shares = [float(share) for share in row[5:8]]
        assert shares == list(prediction["probabilities"].values())
        assert row[8:] == [";".join(prediction["out_of_range"]), "", ""]


def test_bad_rows_carry_the_reason_of_the_api_when_others_are_good(page):
    lines = [
        "5.1,3.5,1.4,0.2",
        "5.1,wide,1.4,0.2",
        "5.1,3.5,,",
        "5.1,3.5,1e999,0.2",
        "5.1,3.5,1.4",
        "6.3,3.3,6.0,2.5",
    ]
    upload(page, "\r\n".join([HEADER, *lines]))
    expect(page.locator("#result-text")).to_have_text(
        "2 rows scored: 1 setosa, 1 virginica; 4 rows refused."
    )
    missing = "required field is missing; add it"
    assert refused(page) == [
        ["3", NOT_A_NUMBER, "/inputs/1/sepal_width_cm"],
        ["4", missing, "/inputs/2/petal_length_cm"],
        ["4", missing, "/inputs/2/petal_width_cm"],
        ["5", "must be a finite number", "/inputs/3/petal_length_cm"],
        ["6", "has 3 cells; the header has 4", "/inputs/4"],
    ]
    _, _, rows = download(page)
    assert [row[4] for row in rows] == ["setosa", "", "", "", "", "virginica"]
    assert rows[1] == [
        *("5.1", "wide", "1.4", "0.2", "", "", "", "", ""),
        *(NOT_A_NUMBER, "/inputs/1/sepal_width_cm"),
    ]
    assert rows[2][9] == f"{missing}; {missing}"


def test_every_bad_row_is_found_when_an_answer_lists_only_twenty(page):
    lines = ["a,b,c,d" if number % 2 else "5,3,1,0" for number in range(120)]
    upload(page, "\n".join([HEADER, *lines]))
    expect(page.locator("#result-text")).to_have_text(
        "60 rows scored: 60 setosa; 60 rows refused."
    )
    caption = page.locator("#refused caption")
    expect(caption).to_have_text("Refused rows; 140 more are in the file")
    _, _, rows = download(page)
    assert [bool(row[9]) for row in rows] == [False, True] * 60


def test_page_marks_what_it_asks_so_that_it_is_no_evidence(page):
    marks = []
    expect(page.locator("#bars .wins")).to_have_count(1)
    page.on("request", lambda r: marks.append(r.headers.get("x-from-page")))
    upload(page, f"{HEADER}\n5.1,3.5,1.4,0.2")
    expect(page.locator("#result-text")).to_contain_text("1 row scored")
    page.locator("input[type=range]").first.press("ArrowRight")
    expect(page.locator("#bars .wins")).to_have_count(1)
    page.wait_for_timeout(300)
    assert len(marks) >= 2 and set(marks) == {"1"}


def test_file_goes_in_chunks_when_it_has_2500_rows(page, server):
    bodies = []
    expect(page.locator("#bars .wins")).to_have_count(1)
    page.on("request", lambda r: bodies.append(r.post_data_buffer))
    lines = [f"5.1,3.5,{1 + number / 500:.3f},0.2" for number in range(2500)]
    upload(page, "\n".join([HEADER, *lines]))
    expect(page.locator("#result-text")).to_contain_text("2,500 rows scored")
    sent = [json.loads(body)["inputs"] for body in bodies if body]
    assert [len(rows) for rows in sent] == [1000, 1000, 500]
    _, _, rows = download(page)
    assert [",".join(row[:4]) for row in rows] == lines
    last = {**ROW, "petal_length_cm": 5.998}
    prediction = server.predict({"inputs": [last]}).json["predictions"][0]
    assert rows[-1][4] == prediction["label"]
    shares = [float(share) for share in rows[-1][5:8]]
    assert shares == pytest.approx(list(prediction["probabilities"].values()))


def test_chunks_stay_below_256_kib_when_rows_are_long(browser, tmp_path):
    number = "0." + "1" * 37
    line = ",".join([number] * len(NAMES))
    buffer = io.StringIO()
    csv.writer(buffer).writerow(NAMES)
    with serve_model(WineModel(), tmp_path / "r.jsonl") as port:
        with watch_page(browser, port) as page:
            sizes = []
            expect(page.locator("#bars .wins")).to_have_count(1)
            page.on("request", lambda r: sizes.append(len(r.post_data_buffer or b"")))
            upload(page, buffer.getvalue() + f"{line}\n" * 900)
            expect(page.locator("#result-text")).to_have_text(
                "900 rows scored: 900 barolo."
            )
    sent = [size for size in sizes if size]
    assert len(sent) == 3
    assert 250_000 < max(sent) <= 256 * 1024


def test_file_of_a_spreadsheet_is_read_when_it_has_semicolons_and_more(page):
    text = (
        '\ufeffid;"petal_width_cm";petal_length_cm;sepal_width_cm;sepal_length_cm\r\n'
        '"Miller; ""Jo""\nline two";.2;1.4;3.5;+5.1\r\n'
        "\r\n"
        "7;2,5;6.0;3.3;6.3\r\n"
    )
    upload(page, text)
    expect(page.locator("#result-text")).to_contain_text("1 row scored: 1 setosa; 1")
    assert refused(page) == [["5", NOT_A_NUMBER, "/inputs/1/petal_width_cm"]]
    _, header, rows = download(page)
    assert header[:2] == ["id", "petal_width_cm"]
    assert rows[0][:2] == ['Miller; "Jo"\nline two', ".2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "sepal_length_cm,x\n1,2\n",
            "The first line must name the columns. Missing: sepal_width_cm, "
            "petal_length_cm, petal_width_cm.",
        ),
        (
            f"{HEADER},sepal_width_cm\n1,2,3,4,5\n",
            "Column sepal_width_cm is there more than once; keep one.",
        ),
        (HEADER, "flowers.csv holds no rows below a header."),
        ("", "flowers.csv holds no rows below a header."),
        (
            HEADER.encode("utf-16"),
            "flowers.csv is not text in UTF-8; save it as CSV UTF-8.",
        ),
    ],
    ids=["missing", "twice", "header", "empty", "utf-16"],
)
def test_file_is_refused_with_a_reason_when_it_is_no_table(page, content, message):
    upload(page, content)
    expect(page.locator("#file-error")).to_have_text(message)
    expect(page.locator("#result")).to_be_hidden()
    upload(page, f"{HEADER}\n5.1,3.5,1.4,0.2\n")
    expect(page.locator("#result-text")).to_have_text("1 row scored: 1 setosa.")
    expect(page.locator("#file-error")).to_be_hidden()


def drop(page, content):
    """Drop a file whose content is what this JavaScript gives."""
    # A script's event has no second chance, unlike a person's: not before the page.
    expect(page.locator("#bars .wins")).to_have_count(1)
    transfer = page.evaluate_handle(
        "() => { const t = new DataTransfer();"
        f" t.items.add(new File([{content}], 'dropped.csv')); return t; }}"
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def test_file_is_refused_when_it_is_too_large_for_a_browser(page):
    drop(page, "new Uint8Array(20 * 1024 * 1024 + 1)")
    expect(page.locator("#file-error")).to_have_text(
        "dropped.csv is larger than the 20 MB that a browser should hold; split it."
    )


def test_file_is_scored_when_it_is_dropped(page):
    drop(page, json.dumps(f"{HEADER}\n5.1,3.5,1.4,0.2\n"))
    expect(page.locator("#download")).to_have_text("Download dropped_scored.csv")


def test_scoring_ends_when_it_is_stopped(page):
    expect(page.locator("#bars .wins")).to_have_count(1)
    page.route("**/v1/predict", lambda route: None)  # an answer that never comes
    upload(page, f"{HEADER}\n5.1,3.5,1.4,0.2\n")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#file-error")).to_have_text("Stopped.")
    expect(page.locator("#progress")).to_be_hidden()


def test_progress_is_told_when_a_chunk_is_done(page):
    page.evaluate(
        "() => { window.seen = []; const bar = document.getElementById('bar');"
        "new MutationObserver(() => seen.push(`${bar.value}/${bar.max}`))"
        ".observe(bar, {attributes: true}); }"
    )
    upload(page, "\n".join([HEADER, *["5.1,3.5,1.4,0.2"] * 1500]))
    expect(page.locator("#result-text")).to_contain_text("1,500 rows")
    assert page.evaluate("seen").count("1000/1500") >= 1
