"""What the page is made of: files with their headers, and one document of the model."""

import hashlib
import re
import shutil
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from api_server import ROW, check_problem, start_server

from iris_api.docs.page import choose_examples, humanise, slider_scale
from iris_api.predict.table import MAX_TABLE_BYTES, Table, read_table

WHEELS = Path(__file__).parents[2] / "packages" / "index" / "iris_model"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADER = "a,b,kind\n"


@pytest.fixture(scope="module")
def data(server):
    """The document of the installed model."""
    return server.send("GET", "/page/data.json").json


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page/data.json", "application/json"),
    ],
)
def test_file_comes_with_strict_headers_when_asked_for(server, path, media_type):
    reply = server.send("GET", path)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == media_type
    assert reply.headers["Content-Security-Policy"] == POLICY
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["Cache-Control"] == "no-cache"
    head = server.send("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_file_is_not_sent_again_when_the_browser_has_it(server):
    etag = server.send("GET", "/page/page.js").headers["ETag"]
    for known in (etag, f'"other", W/{etag}'):
        reply = server.send("GET", "/page/page.js", headers={"If-None-Match": known})
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["ETag"] == etag
    reply = server.send("GET", "/page/page.css", headers={"If-None-Match": etag})
    assert reply.status == 200


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/index.html", "/page/none.js", "/page/..%2fpage.py", "/page"],
)
def test_path_is_a_problem_when_no_file_is_there(server, path):
    check_problem(server.send("GET", path), 404)


def test_every_file_is_served_and_used_when_the_page_is_loaded(server):
    names = {one.name for one in files("iris_api.docs").joinpath("static").iterdir()}
    texts = {name: server.send("GET", f"/page/{name}") for name in names}
    sources = server.send("GET", "/").body.decode()
    for name in names - {"index.html"}:
        assert texts[name].status == 200
        sources += texts[name].body.decode()
    used = set(re.findall(r'(?:page|\.)/(\w+\.(?:js|css|svg|json))"', sources))
    assert used == names - {"index.html"} | {"data.json"}


def test_source_keeps_to_the_policy_and_names_no_measurement():
    words = ("sepal", "petal", "setosa", "versicolor", "virginica", "species", "flower")
    for file in files("iris_api.docs").joinpath("static").iterdir():
        text = file.read_text(encoding="utf-8")
        assert [word for word in words if word in text.lower()] == [], file.name
        assert re.findall(r"(?:inner|outer)HTML|insertAdj|document\.write", text) == []
        assert re.findall(r"\bstyle=|\bon\w+=|javascript:|<style", text) == []
        links = re.findall(r"https?://[^\"'\s]+", text)
        assert set(links) <= {"http://www.w3.org/2000/svg"}, file.name
        assert text.count("\n") < 300, file.name


def test_data_describes_the_model_when_asked_for(data):
    assert data["target"] == "species"
    assert data["classes"] == ["setosa", "versicolor", "virginica"]
    assert [feature["name"] for feature in data["features"]] == list(ROW)
    assert [feature["label"] for feature in data["features"]] == [
        "Sepal length",
        "Sepal width",
        "Petal length",
        "Petal width",
    ]
    first = data["features"][0]
    assert (first["lowest"], first["highest"], first["step"]) == (3.4, 8.8, 0.1)
    assert [example["label"] for example in data["examples"]] == data["classes"]
    assert data["examples"][0]["values"] == list(ROW.values())
    assert (data["max_rows"], data["max_bytes"]) == (1000, 262144)


def test_data_holds_the_training_rows_when_they_came_with_the_model(data):
    assert len(data["rows"]) == len(data["labels"]) == 150
    assert data["rows"][0] == list(ROW.values())
    assert data["labels"] == [0] * 50 + [1] * 50 + [2] * 50


@pytest.mark.slow
@pytest.mark.parametrize("wheel", sorted(WHEELS.glob("*.whl")), ids=lambda w: w.stem)
def test_page_has_its_data_when_any_published_version_is_served(tmp_path, wheel):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    records = str(tmp_path / "records.jsonl")
    settings = {"PYTHONPATH": str(tmp_path), "IRIS_API_RECORDS": records}
    with start_server(**settings) as server:
        data = server.send("GET", "/page/data.json").json
    assert data["model"]["version"] == wheel.name.split("-")[1]
    assert len(data["rows"]) == 150
    assert 0.9 < data["accuracy"]["mean"] < 1


def test_wheels_of_published_versions_are_found():
    assert {wheel.name.split("-")[1] for wheel in WHEELS.glob("*.whl")} >= {
        "1.0.0",
        "1.1.0",
        "1.2.0",
    }


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [
        ("petal_length_cm", "cm", "Petal length"),
        ("weight_kg", "KG", "Weight"),
        ("alcohol_percent", "%", "Alcohol percent"),
        ("pH", "", "PH"),
        ("cm", "cm", "Cm"),
        ("_id", "", "Id"),
        ("__", "", "__"),
        ("od280_od315_of_diluted_wines", "g", "Od280 od315 of diluted wines"),
    ],
)
def test_name_becomes_a_label_when_a_person_reads_it(name, unit, label):
    assert humanise(name, unit) == label


@pytest.mark.parametrize(
    ("minimum", "maximum", "scale"),
    [
        (4.3, 7.9, (0.1, 3.4, 8.8)),
        (0.1, 2.5, (0.1, 0.0, 3.1)),
        (278.0, 1680.0, (10.0, 0.0, 2040.0)),
        (-1.0, 1.0, (0.1, -1.5, 1.5)),
        (0.48, 1.71, (0.01, 0.17, 2.02)),
        (3.0, 3.0, (0.1, 2.2, 3.8)),
        (0.0, 0.0, (0.01, 0.0, 0.25)),
        (1e-9, 3e-9, (1e-10, 5e-10, 3.5e-9)),
    ],
)
def test_slider_goes_beyond_the_range_when_its_scale_is_made(minimum, maximum, scale):
    assert slider_scale(minimum, maximum) == pytest.approx(scale)


def test_examples_are_one_a_class_first_when_there_are_more():
    golden = [("a", [1.0]), ("a", [2.0]), ("b", [3.0]), ("a", [4.0])]
    assert choose_examples(golden) == [
        {"label": "a", "values": [1.0]},
        {"label": "b", "values": [3.0]},
        {"label": "a", "values": [2.0]},
    ]


def read(path, content, digest=None):
    """Write a table and read it as the page does."""
    path.write_bytes(content)
    digest = digest or hashlib.sha256(content).hexdigest()
    return read_table(path, digest, ["b", "a"], "kind")


def test_table_is_read_by_name_when_it_is_whole(tmp_path):
    table = read(tmp_path / "t.csv", f"{HEADER}1,2,x\n3,4,y\n".encode())
    assert table == Table(((2.0, 1.0), (4.0, 3.0)), ("x", "y"))


def test_table_is_sampled_evenly_when_it_is_long(tmp_path):
    lines = "".join(f"{number},0,{number // 2500}\n" for number in range(5000))
    table = read(tmp_path / "t.csv", (HEADER + lines).encode())
    assert len(table.rows) == 1667
    assert table.labels.count("0") == 834


@pytest.mark.parametrize(
    "content",
    [
        HEADER.encode() + b"1,two,x\n",
        HEADER.encode() + b"1,nan,x\n",
        HEADER.encode() + b"1\n",
        b"a,kind\n1,x\n",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        HEADER.encode() + b"1,2,x\n" * (MAX_TABLE_BYTES // 6 + 1),
    ],
    ids=["word", "nan", "short", "no b", "no kind", "not utf-8", "large"],
)
def test_table_is_empty_when_it_cannot_be_shown(tmp_path, content):
    assert read(tmp_path / "t.csv", content) == Table()


def test_table_is_empty_when_it_is_another_or_none(tmp_path):
    assert read(tmp_path / "t.csv", HEADER.encode() + b"1,2,x\n", "0" * 64) == Table()
    assert read_table(tmp_path / "none.csv", "0" * 64, ["a"], "kind") == Table()


@pytest.mark.slow
def test_page_is_served_when_the_table_did_not_come_along(tmp_path):
    import iris_model

    package = tmp_path / "iris_model"
    shutil.copytree(Path(iris_model.__file__).parent, package)
    shutil.rmtree(package / "datasets")
    records = str(tmp_path / "records.jsonl")
    settings = {"PYTHONPATH": str(tmp_path), "IRIS_API_RECORDS": records}
    with start_server(**settings) as server:
        data = server.send("GET", "/page/data.json").json
    assert (data["rows"], data["labels"]) == ([], [])
    assert len(data["examples"]) == 3
