"""The private port: page, JSON, metrics, and no stranger's text that runs."""

import contextlib
import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import System, free_port, post_many, wait_until

from shadow_router.page.page import ASSETS, POLICY
from shadow_router.values import Fate

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A system whose shadow changes one label in five into something hostile."""

    async def flip_some(arrived, writer):
        document = json.loads(json.dumps(ANSWER))
        document["model"]["version"] = "1.1.0"
        if int(arrived.values("x-request-id")[0].rpartition("-")[2]) % 5 == 0:
            document["predictions"][0]["label"] = HOSTILE
        writer.write(answer_bytes(document))
        return True

    directory = tmp_path_factory.mktemp("report") / "data"
    with FakeServer() as live, FakeServer(flip_some) as shadow:
        with System(directory, live.url, shadow.url) as system:
            post_many(system, 20)
            assert system.settled_fates() == {"match": 16, "label_flip": 4}
            yield system


def test_page_escapes_every_stranger_when_a_label_is_hostile(hostile):
    for path in ("/", "/fragment"):
        status, page = hostile.private_get(path)
        assert status == 200
        assert HOSTILE not in page
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert "{{ 7*7 }}" in page


def test_page_needs_nothing_from_elsewhere_and_no_inline_style(hostile):
    page = hostile.private_get("/")[1]
    named = re.findall(r"""(?:src|href)="(/[^"?#]*)""", page)
    assert set(named) == {*ASSETS, "/report.json", "/labels/queue"}
    for path in named:
        status, text = hostile.private_get(path)
        assert status == 200
        assert "url(" not in text
    assert "<style" not in page and "style=" not in page
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.S) == ["", ""]
    assert "unsafe" not in POLICY


def test_page_shows_the_figures_of_the_json_when_both_are_read(hostile):
    found = hostile.report()
    assert found["received"] == found["sampled"] == found["compared"] == 20
    assert (found["unique_inputs"], found["unique_flips"]) == (20, 4)
    assert found["versions"] == {"live": ["1.0.0"], "shadow": ["1.1.0"]}
    assert found["confusion"] == [
        {"live": "setosa", "shadow": HOSTILE, "n": 4},
        {"live": "setosa", "shadow": "setosa", "n": 16},
    ]
    assert found["flip_rate"]["lower"] < 0.2 < found["flip_rate"]["upper"]
    assert {row["role"] for row in found["latency_ms"]} == {"live", "shadow"}
    assert found["discrepancies"][0]["fate"] == "label_flip"
    page = hostile.private_get("/")[1]
    assert "20.00% of 20 unique inputs" in page
    assert found["verdict"]["state"] == "FAIL"
    for gate in found["verdict"]["gates"]:
        row = re.search(
            rf'<li class="gate (\w+)">\s*<details id="gate-{gate["name"]}"', page
        )
        assert row[1].upper() == gate["state"]
    assert found["rules"]["sha256"] in page
    assert found["format"] == 1
    assert found["controls"] == {"sample_rate": 1.0, "killed": False, "closed": False}
    assert found["history"][-1]["inputs"] == 20
    assert sum(one["flips"] for one in found["margins"]) == 4
    assert found["diagnosis"]["sampled"] == {"flips": 4, "agreeing": 16}


def test_metrics_can_be_scraped_and_agree_with_the_fates(hostile):
    text = hostile.private_get("/metrics")[1]
    families = {one.name: one for one in text_string_to_metric_families(text)}
    fates = {
        sample.labels["fate"]: sample.value
        for sample in families["shadow_requests"].samples
    }
    assert fates["match"] == 16 and fates["label_flip"] == 4
    assert len(fates) == 23
    counts = {
        sample.labels["role"]: sample.value
        for sample in families["shadow_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counts == {"live": 20, "shadow": 20}
    samples = families["shadow_verdict"].samples
    assert {sample.value for sample in samples} == {1}
    assert {tuple(sample.labels.values()) for sample in samples} == {
        ("overall", "FAIL"),
        ("measurement", "PASS"),
        ("contract", "INCONCLUSIVE"),
        ("errors", "INCONCLUSIVE"),
        ("flips", "FAIL"),
        ("confident_flips", "FAIL"),
        ("distance", "INCONCLUSIVE"),
        ("class_mix", "INCONCLUSIVE"),
        ("segments", "FAIL"),
        ("latency", "INCONCLUSIVE"),
    }
    assert {"shadow_queue_items", "shadow_queue_bytes"} <= families.keys()


def test_metrics_are_few_and_hold_no_stranger_s_text_when_labels_are_hostile(hostile):
    text = hostile.private_get("/metrics")[1]
    assert len(text.encode()) <= 50_000
    families = list(text_string_to_metric_families(text))
    labels = {
        name: {s.labels[name] for f in families for s in f.samples if name in s.labels}
        for name in ("fate", "role", "gate", "state", "le")
    }
    used = {name for f in families for s in f.samples for name in s.labels}
    assert used == labels.keys()
    assert labels["role"] == {"live", "shadow"}
    assert labels["fate"] == set(Fate)
    assert labels["state"] <= {"PASS", "FAIL", "INCONCLUSIVE", "INVALID"}
    assert len(labels["gate"]) <= 12
    assert len(labels["le"]) == 17
    assert "script" not in text


@pytest.mark.slow
def test_metrics_say_whether_a_router_serves_when_the_collector_is_alone(
    hostile, live, shadow, start
):
    alone = start(live.url, shadow.url, name="alone", only="collector")
    assert alone.metric("shadow_router_connected") == 0
    assert hostile.metric("shadow_router_connected") == 1


@pytest.mark.slow
def test_report_command_writes_one_file_that_runs_nothing(hostile, tmp_path):
    path = tmp_path / "out.html"
    assert hostile.run("report", "--output", str(path)).returncode == 0
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "20.00% of 20 unique inputs" in text


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 405)])
def test_private_port_answers_a_problem_when_path_or_method_is_wrong(
    hostile, method, status
):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", hostile.private, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, "/nothing")
        answer = connection.getresponse()
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.slow
def test_store_keeps_no_secret_when_headers_and_query_hold_some(live, shadow, start):
    system = start(live.url, shadow.url)
    with contextlib.closing(system.client()) as client:
        headers = {"cookie": "canary", "x-api-key": "canary", "z-any": "canary"}
        client.request("POST", "/v1/predict?key=canary", b"{}", headers)
        client.getresponse().read()
    assert system.settled_fates() == {"match": 1}
    with system.database() as database:
        dump = "\n".join(database.iterdump())
    assert "INSERT INTO" in dump
    assert "canary" not in dump + system.log
    assert b"canary" not in (system.directory / "comparisons.sqlite-wal").read_bytes()


@pytest.mark.slow
def test_unique_inputs_count_once_when_bodies_repeat(live, shadow, start):
    system = start(live.url, shadow.url)
    for run in range(3):
        post_many(system, 10, f"run{run}")
    system.settled_fates()
    assert system.report()["unique_inputs"] == 10


@pytest.mark.slow
def test_bodies_are_capped_and_rows_are_not_when_all_differ(live, start):
    async def fail(arrived, writer):
        writer.write(answer_bytes(status="500 No"))
        return True

    with FakeServer(fail) as shadow:
        system = start(live.url, shadow.url, KEEP_DISCREPANCIES=100)
        post_many(system, 250)
        assert system.settled_fates() == {"shadow_error": 250}
        with system.database() as database:

            def count(table):
                return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

            wait_until(lambda: count("discrepancies") == 100, what="the pruning")
            assert count("comparisons") == 250


def test_report_says_that_nobody_answers_while_the_shadow_is_away(live, start):
    shadow = FakeServer()
    shadow.port = free_port()
    said = f"nobody answers at {shadow.url}"
    system = start(live.url, shadow.url)

    def reads(path="/report.json"):
        return system.private_get(path)[1]

    # Before any traffic, and after some: what counts is who listens now.
    assert json.loads(reads())["verdict"]["reason"].startswith(f"{said}; ")
    with shadow:
        assert said not in reads() + reads("/")
        post_many(system, 5)
        system.settled_fates()
        assert said not in reads() + reads("/")
    assert json.loads(reads())["verdict"]["reason"].startswith(f"{said}; ")
    assert said in reads("/")
    # The kill switch has the shadow left alone altogether.
    system.run("control", "off")
    assert said not in reads()
