"""What Prometheus reads: the promised names, exact counts, and never many labels."""

import json
import random
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from api_fakes import NAMES, WineModel, serve_model
from api_server import JSON, ROW, send, start_server
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

import iris_model
from iris_api.errors import Fault, InvalidInputs
from iris_api.predict.predictor import build_reference, load_predictor
from iris_api.schemas import Reference
from iris_api.telemetry.counts import CONFIDENCE_EDGES, confidence_shares
from iris_api.telemetry.metrics import FOLD_CALLS, Metrics

MAX_BYTES = 50_000
MANIFEST = iris_model.load().manifest
LABELS = {"setosa": 50, "versicolor": 49, "virginica": 51}
REFERENCE = Reference(LABELS, [0.5, 0.985, 0.995], [3, 90, 120], 150)
ROUTES = {
    "/health",
    "/livez",
    "/metrics",
    "/readyz",
    "/v1/model",
    "/v1/predict",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{name}",
    "/v2/models/{name}/infer",
    "/v2/models/{name}/ready",
    "other",
    "pages",
}
REASONS = {
    "missing",
    "unknown",
    "repeated",
    "not_a_number",
    "not_finite",
    "wrong_size",
    "wrong_type",
    "no_answer",
    "invalid",
    "not_listed",
    "not_json",
    "too_large",
    "unsupported",
}


class Page:
    """A page of metrics, taken apart."""

    def __init__(self, text, parse=parse_text):
        self.families = {family.name: family for family in parse(text)}
        self.samples = [s for f in self.families.values() for s in f.samples]

    def value(self, name, **labels):
        """The value of one sample; 0 when there is none."""
        found = [s.value for s in self.samples if (s.name, s.labels) == (name, labels)]
        assert len(found) < 2
        return found[0] if found else 0

    def labels(self, label):
        """All values of one label."""
        return {s.labels[label] for s in self.samples if label in s.labels}

    def bins(self, name, **labels):
        """Counts of a histogram, bin by bin."""
        counts = [
            s.value
            for s in self.samples
            if s.name == f"{name}_bucket" and labels.items() <= s.labels.items()
        ]
        return np.diff(counts, prepend=0).tolist()


def scrape(port):
    """Read the metrics of a server."""
    reply = send(port, "GET", "/metrics")
    assert reply.status == 200
    return Page(reply.body.decode())


@pytest.fixture
def fresh(tmp_path):
    """A server that has answered nothing but the probe of readiness."""
    with start_server(IRIS_API_RECORDS=str(tmp_path / "records.jsonl")) as running:
        yield running


def check_bounded(body, parse=parse_text):
    """Assert that a page is small, and that every label value is one of ours."""
    assert len(body) <= MAX_BYTES
    page = Page(body.decode(), parse)
    assert page.labels("route") <= ROUTES
    assert page.labels("method") <= {"GET", "POST", "other"}
    assert page.labels("field") <= {*ROW, "other"}
    assert page.labels("feature") == set(ROW)
    assert page.labels("label") == {"setosa", "versicolor", "virginica"}
    assert page.labels("reason") <= REASONS
    assert len(page.labels("status")) < 12


def test_metrics_have_the_promised_names_when_read(server):
    families = scrape(server.port).families
    assert {name: family.type for name, family in families.items()} == {
        "http_server_request_duration_seconds": "histogram",
        "model_confidence_ratio": "histogram",
        "model_confidence_reference_ratio": "gauge",
        "model_feature_reference_ratio": "gauge",
        "model_feature_value": "histogram",
        "model_info": "gauge",
        "model_input_errors": "counter",
        "model_label_reference_ratio": "gauge",
        "model_out_of_range": "counter",
        "model_prediction_duration_seconds": "histogram",
        "model_predictions": "counter",
        "model_ready": "gauge",
        "model_records_failed": "counter",
        "model_reference_rows": "gauge",
        "process_cpu_seconds": "counter",
        "process_max_fds": "gauge",
        "process_open_fds": "gauge",
        "process_resident_memory_bytes": "gauge",
        "process_start_time_seconds": "gauge",
        "process_virtual_memory_bytes": "gauge",
    }
    assert all(family.documentation for family in families.values())


def test_readme_lists_every_metric_and_its_labels(server):
    server.predict({"inputs": []})
    # The installed model knows nothing of what some families tell.
    pages = (scrape(server.port), referring(REFERENCE))
    text = (Path(__file__).parent.parent / "README.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z_]+?)(?:_total)?(?:{(.+?)})?` \|", text, re.M))
    ours = {name for name in pages[0].families if not name.startswith("process_")}
    assert listed.keys() == ours
    for name in ours:
        labels = set(listed[name].split(",")) - {""}
        samples = [s for page in pages for s in page.families[name].samples]
        assert samples and all(
            s.labels.keys() - {"le"} == labels for s in samples
        ), name


def test_metrics_name_the_model_when_read(server):
    page = scrape(server.port)
    engine = server.send("GET", "/v1/model").json["engine"]
    labels = {
        "model_name": "iris_model",
        "model_version": iris_model.__version__,
        "engine": engine,
    }
    assert page.value("model_info", **labels) == 1


def test_metrics_say_ready_when_the_model_answers_as_it_should(server):
    assert scrape(server.port).value("model_ready") == 1


def test_metrics_say_not_ready_when_a_golden_row_is_answered_otherwise(tmp_path):
    class Unusable(WineModel):
        def check_golden_rows(self):
            raise iris_model.IrisModelError("golden row 1 is answered otherwise")

    with serve_model(Unusable(), tmp_path / "r.jsonl") as port:
        assert scrape(port).value("model_ready") == 0


def test_reference_tells_the_training_table_at_the_edges_of_the_live_bins(server):
    page = scrape(server.port)
    for feature in MANIFEST.features:
        found = {
            s.labels["le"]: s.value
            for s in page.families["model_feature_reference_ratio"].samples
            if s.labels["feature"] == feature.name
        }
        live = {
            s.labels["le"]
            for s in page.samples
            if s.name == "model_feature_value_bucket"
            and s.labels["feature"] == feature.name
        }
        assert len(found) == 10
        assert found.keys() < live
        counts, total = feature.histogram.counts, sum(feature.histogram.counts)
        assert list(found.values())[0] == pytest.approx(counts[0] / total)
        assert list(found.values())[-1] == 1


def referring(reference):
    """The metrics of the installed model, with a reference of ours."""
    metrics = Metrics(load_predictor().card, reference)
    return Page(metrics.render("", True)[0].decode())


def test_reference_tells_labels_and_confidence_when_the_model_knows_them():
    page = referring(REFERENCE)
    for label, rows in LABELS.items():
        assert page.value("model_label_reference_ratio", label=label) == rows / 150
    name = "model_confidence_reference_ratio"
    found = {s.labels["le"]: s.value for s in page.families[name].samples}
    live = page.families["model_confidence_ratio"].samples
    assert [*found, "+Inf"] == [s.labels["le"] for s in live if "le" in s.labels]
    # By hand: 0.4 is two fifths of the way from a third to the first quantile.
    assert found["0.2"] == 0
    assert found["0.4"] == pytest.approx(0.4 * 3 / 150)
    assert found["0.5"] == pytest.approx(3 / 150)
    assert found["0.99"] == pytest.approx((90 + 30 / 2) / 150)
    assert found["1.0"] == 1


def test_reference_tells_the_rows_of_the_table_alone_when_the_model_is_older(server):
    page = scrape(server.port)
    assert page.value("model_reference_rows") == 150
    for name in ("model_label_reference_ratio", "model_confidence_reference_ratio"):
        assert page.families[name].samples == []
    assert build_reference(MANIFEST) is None


def test_reference_is_that_of_the_manifest_when_it_has_one():
    confidence = SimpleNamespace(values=[0.5, 0.985, 0.995], at_most=[3, 90, 120])
    confidence.rows = 150
    kept = SimpleNamespace(labels=LABELS, confidence=confidence)
    assert build_reference(SimpleNamespace(reference=kept)) == REFERENCE
    assert build_reference(SimpleNamespace(reference=None)) is None


def test_confidence_of_the_table_is_unknown_when_all_of_it_is_equal():
    page = referring(Reference(LABELS, [], [], 150))
    assert page.families["model_confidence_reference_ratio"].samples == []


@pytest.mark.parametrize("sureness", [1.0, 3.0, 10.0, 60.0])
def test_confidence_of_the_table_is_about_that_of_its_rows(sureness):
    rows = np.random.default_rng(1936).beta(sureness, 1, 5000) * 2 / 3 + 1 / 3
    # As `iris_model` cuts its quantiles: halfway between hundredths that occur.
    found, counts = np.unique(rows.round(2), return_counts=True)
    halves, at_most = found[:-1] + np.diff(found) / 2, counts.cumsum()[:-1]
    reference = Reference({}, halves.tolist(), at_most.tolist(), 5000)
    truth = [(rows <= edge).mean() for edge in CONFIDENCE_EDGES]
    # Far from the 0.25 at which an alarm asks.
    assert confidence_shares(reference, 3) == pytest.approx(truth, abs=0.06)


def test_model_s_own_document_is_as_before_when_there_is_a_reference(server):
    fields = "name version engine target classes features steps metrics digests"
    assert list(server.send("GET", "/v1/model").json) == [*fields.split(), "libraries"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (
            "application/openmetrics-text; version=canary",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
def test_metrics_come_in_the_format_asked_for_when_there_is_a_choice(
    server, accept, kind
):
    reply = server.send("GET", "/metrics", headers={"Accept": accept})
    assert (reply.status, reply.headers["Content-Type"]) == (200, kind)
    parse = parse_openmetrics if "openmetrics" in kind else parse_text
    page = Page(reply.body.decode(), parse)
    assert page.families["model_predictions"].type == "counter"


def test_rows_are_counted_exactly_when_they_were_answered(fresh):
    wide = {**ROW, "sepal_width_cm": 9.0, "petal_width_cm": 1e300}
    large = dict(zip(ROW, (6.3, 3.3, 6.0, 2.5)))
    assert fresh.predict({"inputs": [ROW, ROW, large]}).status == 200
    assert fresh.predict({"inputs": [wide]}).status == 200
    page = scrape(fresh.port)
    model = {"model_name": "iris_model", "model_version": iris_model.__version__}
    labels = [r["labels"] for r in fresh.read_records()]
    assert labels[0] == ["setosa", "setosa", "virginica"]
    for label in ("setosa", "versicolor", "virginica"):
        count = page.value("model_predictions_total", label=label, **model)
        assert count == sum(labels, []).count(label)
    assert page.value("model_confidence_ratio_count") == 4
    assert page.value("model_prediction_duration_seconds_count") == 2
    outside = {
        s.labels["feature"]: s.value
        for s in page.samples
        if s.name == "model_out_of_range_total"
    }
    assert outside == {
        **dict.fromkeys(ROW, 0),
        "sepal_width_cm": 1,
        "petal_width_cm": 1,
    }


@pytest.mark.slow
def test_values_fall_into_the_bins_of_the_manifest_when_counted(fresh):
    # One value below all edges, one on each, one above all.
    edges = MANIFEST.features[2].histogram.edges
    values = [0.5, *edges, 1e9]
    rows = [{**ROW, "petal_length_cm": value} for value in values]
    assert fresh.predict({"inputs": rows}).status == 200
    page = scrape(fresh.port)
    name = "model_feature_value"
    bins = page.bins(name, feature="petal_length_cm")
    # A bin holds its lower edge, the last one both, as `numpy.histogram` has it.
    assert bins == [1] + [1] * (len(edges) - 2) + [2] + [1]
    found = [
        float(s.labels["le"])
        for s in page.samples
        if s.name == f"{name}_bucket" and s.labels["feature"] == "petal_length_cm"
    ]
    below = np.nextafter(edges[:-1], -np.inf).tolist()
    assert found == [*below, edges[-1], float("inf")]
    clipped = page.value(f"{name}_sum", feature="petal_length_cm")
    assert clipped == pytest.approx(1.0 + sum(edges) + 6.9)


def test_requests_are_counted_exactly_when_they_were_answered(fresh):
    for _ in range(3):
        fresh.predict({"inputs": [ROW]})
    fresh.predict({"inputs": []})
    fresh.send("GET", "/v1/model")
    fresh.send("HEAD", "/v1/model")
    fresh.send("GET", "/nowhere")
    fresh.send("GET", "/docs")
    fresh.send("GET", "/static-offline-docs/swagger-ui.css")
    fresh.send("DELETE", "/v1/predict")
    fresh.send("OPTIONS", "/v1/predict")
    page = scrape(fresh.port)
    counts = {
        tuple(s.labels[name] for name in ("method", "route", "status")): s.value
        for s in page.samples
        if s.name == "http_server_request_duration_seconds_count"
    }
    assert counts == {
        ("POST", "/v1/predict", "200"): 3,
        ("POST", "/v1/predict", "422"): 1,
        ("GET", "/v1/model", "200"): 2,
        ("GET", "/readyz", "200"): 1,
        ("GET", "pages", "200"): 2,
        ("other", "other", "404"): 1,
        ("other", "other", "405"): 1,
        ("other", "other", "204"): 1,
    }


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (
            {"inputs": [{**ROW, "petal_width_cm": "x"}]},
            "petal_width_cm",
            "not_a_number",
        ),
        ({"inputs": [{**ROW, "canary": 1}]}, "other", "unknown"),
        ({"inputs": []}, "other", "wrong_size"),
        ({"inputs": {}}, "other", "wrong_type"),
        (b'{"inputs": [], "inputs": []}', "other", "wrong_size"),
        (b"{", "other", "not_json"),
        (b" " * 300_000, "other", "too_large"),
        (
            json.dumps({"inputs": [ROW]})
            .replace('"petal_width_cm": 0.2', '"petal_width_cm": NaN')
            .encode(),
            "petal_width_cm",
            "not_finite",
        ),
        (
            json.dumps({"inputs": [ROW]})
            .replace("{", '{"sepal_width_cm": 1, ', 2)
            .replace('{"sepal_width_cm": 1, ', "{", 1)
            .encode(),
            "sepal_width_cm",
            "repeated",
        ),
    ],
)
def test_input_error_is_counted_when_an_input_is_refused(server, body, field, reason):
    labels = {"field": field, "reason": reason}
    name = "model_input_errors_total"
    before = scrape(server.port).value(name, **labels)
    assert server.predict(body).status in (400, 413, 422)
    assert scrape(server.port).value(name, **labels) == before + 1


@pytest.mark.slow
def test_every_fault_is_counted_when_only_twenty_are_listed(fresh):
    fresh.predict({"inputs": [{}] * 100})
    page = scrape(fresh.port)
    name = "model_input_errors_total"
    listed = [page.value(name, field=field, reason="missing") for field in ROW]
    assert listed == [5, 5, 5, 5]
    assert page.value(name, field="other", reason="not_listed") == 380


@pytest.mark.slow
def test_failed_record_is_counted_and_its_rows_are_not_when_the_disk_is_full():
    with start_server(IRIS_API_RECORDS="/dev/full") as server:
        assert server.predict({"inputs": [ROW]}).status == 503
        page = scrape(server.port)
    assert page.value("model_records_failed_total") == 1
    assert page.value("model_confidence_ratio_count") == 0


@pytest.mark.parametrize("calls", [1, FOLD_CALLS - 1, FOLD_CALLS, 3 * FOLD_CALLS + 7])
def test_counts_are_exact_when_answers_wait_to_be_counted(calls):
    predictor = load_predictor()
    metrics = Metrics(predictor.card)
    shares = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    matrix = np.array([[5.1, 3.5, 1.4, 0.2], [9.9, 3.5, 1.4, 0.2]])
    for _ in range(calls):
        metrics.observe(matrix, shares, 0.0003)
        metrics.observe_request("POST", "/v1/predict", 200, 0.003)
    page = Page(metrics.render("", True)[0].decode())
    again = Page(metrics.render("", True)[0].decode())
    for read in (page, again):
        assert read.bins("model_confidence_ratio")[3:5] == [calls, calls]
        assert read.bins("model_prediction_duration_seconds")[4] == calls
        assert read.bins("http_server_request_duration_seconds")[3] == calls
        name = "model_out_of_range_total"
        assert read.value(name, feature="sepal_length_cm") == calls
        seconds = read.value("model_prediction_duration_seconds_sum")
        assert seconds == pytest.approx(0.0003 * calls)


def test_page_reads_as_it_should_when_features_have_awkward_names(tmp_path):
    with serve_model(WineModel(), tmp_path / "r.jsonl") as port:
        body = json.dumps({"inputs": [dict.fromkeys(NAMES, 1.0)]}).encode()
        assert send(port, "POST", "/v1/predict", body, JSON).status == 200
        page = scrape(port)
    assert page.labels("feature") == set(NAMES)
    assert page.value("model_feature_value_count", feature='a"b') == 1


PAGES = ("/", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css")
METHODS = "GET POST PUT DELETE PATCH OPTIONS HEAD PROPFIND MKCOL LOCK M-SEARCH".split()


def hostile_request(chance):
    """Return the bytes of a request nobody should send, and of some that are fine."""
    text = "".join(chance.choices("abc/%{}'0_-", k=chance.randrange(1, 20)))
    known = ["/v2/models/iris_model/infer", *sorted(ROUTES), *PAGES]
    path = chance.choice([f"/{text}", f"/v2/models/{text}/infer", *known])
    path = "/" + path.removeprefix("/")
    key = chance.choice([*ROW, text])
    body = json.dumps({"inputs": [{**ROW, key: chance.choice([1, "x", None])}]})
    if chance.random() < 0.2:
        body = body[: chance.randrange(len(body))]
    kind = chance.choice(["application/json", "application/json", text])
    method = chance.choice(METHODS)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n"
    )
    return (head + body).encode()


def send_pipelined(port, requests):
    """Send requests over one connection; return how many were answered."""
    *rest, last = requests
    content = b"".join([*rest, last.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.count(b"HTTP/1.1 ")


@pytest.mark.slow
def test_page_stays_small_when_ten_thousand_requests_are_hostile(fresh):
    chance = random.Random(7)
    answered = 0
    for _ in range(1_000):
        made = [hostile_request(chance) for _ in range(10)]
        while made:
            # A request that is refused for how it is written ends its connection.
            count = send_pipelined(fresh.port, made)
            assert count
            answered += count
            made = made[count:]
    assert answered == 10_000
    reply = fresh.send("GET", "/metrics")
    check_bounded(reply.body)
    assert b'status="5' not in reply.body


def test_page_stays_small_when_every_route_gives_every_answer():
    metrics = Metrics(load_predictor().card, REFERENCE)
    for route in ROUTES:
        for method in (*METHODS, *map(str, range(1000))):
            metrics.observe_request(method, route, 404, 1.0)
            metrics.observe_request(method, "other", 503, 1.0)
        metrics.observe_request("GET", route, 200, 1.0)
    for route in ("/v1/predict", "/v2/models/{name}/infer"):
        for status in (200, 400, 413, 415, 422, 500, 503):
            metrics.observe_request("POST", route, status, 1.0)
    for route in ("/readyz", "/v2/health/ready", "/v2/models/{name}/ready"):
        metrics.observe_request("GET", route, 503, 1.0)
    for field in (*ROW, "canary"):
        for reason in REASONS:
            fault = Fault("", "", reason, field)
            metrics.observe_refusal(InvalidInputs((fault,)))
    check_bounded(metrics.render("", True)[0])
    check_bounded(
        metrics.render("application/openmetrics-text", True)[0], parse_openmetrics
    )


def test_bound_is_found_broken_when_paths_are_taken_for_routes():
    metrics = Metrics(load_predictor().card)
    metrics.observe_request("GET", "/canary", 200, 1.0)
    with pytest.raises(AssertionError):
        check_bounded(metrics.render("", True)[0])
    for number in range(1000):
        metrics.observe_request("GET", f"/{number}", 200, 1.0)
    assert len(metrics.render("", True)[0]) > MAX_BYTES
