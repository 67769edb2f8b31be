"""Every record has the trace of its request; spans are exported only when asked for."""

import gzip
import http.server
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from api_server import (
    JSON,
    ROW,
    environment,
    free_port,
    run_command,
    start_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from iris_api.telemetry.tracing import find_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
BODY = {"inputs": [ROW]}
SERVER_KIND = 2


class Collector(http.server.ThreadingHTTPServer):
    """An OpenTelemetry collector on a socket, which keeps what it is sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", free_port()), _Collecting)
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self):
        """Return all spans that have come."""
        parts = [part for one in self.requests for part in one.resource_spans]
        return [
            span for part in parts for scope in part.scope_spans for span in scope.spans
        ]

    def wait(self, count):
        """Return the spans once there are so many."""
        deadline = time.monotonic() + 20
        while len(self.spans()) < count:
            assert time.monotonic() < deadline, self.spans()
            time.sleep(0.05)
        return self.spans()


class _Collecting(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        """Take one export."""
        assert self.path == "/v1/traces"
        assert self.headers["Content-Type"] == "application/x-protobuf"
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            content = gzip.decompress(content)
        self.server.requests.append(ExportTraceServiceRequest.FromString(content))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        """Say nothing."""


@contextmanager
def collecting():
    """Run a collector until the block ends."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A collector and a server that exports to it at once."""
    records = tmp_path_factory.mktemp("traced") / "records.jsonl"
    with collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
        }
        with start_server(IRIS_API_RECORDS=str(records), **settings) as server:
            collector.wait(1)  # of the wait for readiness
            yield collector, server
            assert server.stop() == 0
            assert "Traceback" not in server.talk()


def attributes_of(thing):
    """Return attributes as a dict of Python values."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
        for pair in thing.attributes
    }


def ask(traced, send):
    """Return the span of what was sent, the newest that is a prediction."""
    collector, _ = traced
    before = len(collector.spans())
    send()
    return collector.wait(before + 1)[-1]


# ---- traceparent ------------------------------------------------------------


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        "ff" + TRACEPARENT[2:],
        "0x" + TRACEPARENT[2:],
        TRACEPARENT.replace(TRACE, "0" * 32),
        TRACEPARENT.replace("00f067aa0ba902b7", "0" * 16),
        TRACEPARENT[:-1],
        "01" + TRACEPARENT[2:] + "more",
        "\u0660" * 55,
    ],
)
def test_traceparent_is_not_found_when_malformed(malformed):
    assert find_traceparent([(b"traceparent", malformed.encode())]) is None


def test_traceparent_is_not_found_when_there_are_two():
    header = (b"traceparent", TRACEPARENT.encode())
    assert find_traceparent([header]) == TRACEPARENT
    assert find_traceparent([header, header]) is None


def test_traceparent_is_read_as_version_00_when_of_a_later_one():
    later = b"cc-" + TRACEPARENT[3:-2].encode() + b"ff-what-comes"
    assert find_traceparent([(b"traceparent", later)]) == TRACEPARENT


def test_record_has_a_trace_of_its_own_when_none_or_a_malformed_one_was_sent(server):
    server.predict(BODY)
    server.predict(BODY, {**JSON, "traceparent": "forged"})
    one, other = [record["traceparent"] for record in server.read_records()[-2:]]
    for made in (one, other):
        assert find_traceparent([(b"traceparent", made.encode())]) == made
        assert made.endswith("-00")
    assert one != other


def test_record_has_the_trace_of_the_client_when_asked_by_the_open_protocol(server):
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5, 3, 1, 0]}
    server.send(
        "POST",
        "/v2/models/iris_model/infer",
        str({"inputs": [tensor]}).replace("'", '"'),
        {**JSON, "traceparent": TRACEPARENT},
    )
    assert server.read_records()[-1]["traceparent"] == TRACEPARENT


# ---- spans ------------------------------------------------------------------


def test_span_continues_the_trace_of_the_client_when_exported(traced):
    collector, server = traced
    sent = {**JSON, "traceparent": TRACEPARENT}
    span = ask(traced, lambda: server.predict(BODY, sent))
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert (span.name, span.kind) == ("POST /v1/predict", SERVER_KIND)
    assert attributes_of(span) == {
        "http.request.method": "POST",
        "http.route": "/v1/predict",
        "http.response.status_code": 200,
    }
    assert span.end_time_unix_nano > span.start_time_unix_nano
    record = server.read_records()[-1]
    assert record["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"


def test_span_begins_a_trace_when_the_client_sent_none(traced):
    collector, server = traced
    span = ask(traced, lambda: server.predict(BODY))
    assert span.parent_span_id == b""
    trace, of_span = span.trace_id.hex(), span.span_id.hex()
    # Sampled, and random.
    assert server.read_records()[-1]["traceparent"] == f"00-{trace}-{of_span}-03"


def test_span_is_not_exported_when_the_client_does_not_sample(traced):
    collector, server = traced
    unsampled = {**JSON, "traceparent": TRACEPARENT[:-1] + "0"}
    server.predict(BODY, unsampled)
    assert server.read_records()[-1]["traceparent"].startswith(f"00-{TRACE}-")
    span = ask(traced, lambda: server.predict(BODY))
    assert span.trace_id.hex() != TRACE


def test_spans_have_few_names_when_clients_make_up_paths(traced):
    collector, server = traced
    span = ask(traced, lambda: server.send("DELETE", "/canary?canary"))
    assert (span.name, attributes_of(span)["http.route"]) == ("HTTP", "other")
    assert "canary" not in str(span) and "DELETE" not in str(span)


def test_resource_names_service_and_model_when_exported(traced):
    collector, server = traced
    resource = attributes_of(collector.requests[0].resource_spans[0].resource)
    assert resource["service.name"] == "iris_api"
    assert resource["deployment.environment.name"] == "staging"
    version = server.send("GET", "/health").json["model_version"]
    assert resource["model.version"] == version


@pytest.mark.slow
def test_span_is_an_error_when_the_record_cannot_be_written():
    with collecting() as collector:
        settings = {
            "IRIS_API_RECORDS": "/dev/full",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + "/v1/traces",
        }
        with start_server(**settings) as server:
            assert server.predict(BODY).status == 503
            # What waits is sent before the process ends.
            assert server.stop() == 0
        span = collector.spans()[-1]
        assert (span.name, span.status.code) == ("POST /v1/predict", 2)


@pytest.mark.slow
def test_answers_do_not_suffer_when_the_collector_is_gone(tmp_path):
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "IRIS_API_RECORDS": str(tmp_path / "records"),
    }
    with start_server(**settings) as server:
        assert [server.predict(BODY).status for _ in range(50)] == [200] * 50
        assert server.stop() == 0
        assert "Traceback" not in server.talk()


@pytest.mark.slow
def test_nothing_of_the_library_is_loaded_when_no_variable_asks_for_it(tmp_path):
    command = (sys.executable, "-X", "importtime", "-m", "iris_api")
    settings = {
        "OTEL_SERVICE_NAME": "flowers",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "IRIS_API_RECORDS": str(tmp_path / "records"),
    }
    with start_server(command=command, **settings) as server:
        assert server.predict(BODY).status == 200
        assert "iris_api.telemetry.spans" in server.talk()
        assert "opentelemetry.sdk" not in server.talk()
        assert "opentelemetry.exporter" not in server.talk()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: write otlp or none",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: must begin with http:// or https://",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken here",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
            "OTEL_*: max_queue_size must be a positive integer.",
        ),
    ],
)
def test_start_ends_with_one_line_when_a_variable_cannot_be_used(settings, says):
    done = run_command(IRIS_API_PORT=str(free_port()), **settings)
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == f"iris-api: {says}"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_start_says_what_to_install_when_the_extra_is_missing():
    blocked = (
        "import sys; sys.modules['opentelemetry.exporter'] = None;"
        "from iris_api.main import main; sys.argv = ['iris-api']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked],
        env=environment(OTEL_TRACES_EXPORTER="otlp"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == (
        "iris-api: OTEL_TRACES_EXPORTER: exporting traces needs more: "
        "install the extra `otel` of iris_api"
    )
