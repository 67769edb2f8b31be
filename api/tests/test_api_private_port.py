"""Documentation and metrics on a port of their own."""

import http.client
import json
import os
import socket
import threading
import time

import pytest
from api_server import (
    JSON,
    ROW,
    check_problem,
    free_port,
    run_command,
    send,
    start_server,
)

from iris_api.access.keys import make_key
from iris_api.errors import SettingsInvalid
from iris_api.settings import load_settings

BODY = json.dumps({"inputs": [ROW]}).encode()


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A server that asks for keys and has a private port, added to it."""
    folder = tmp_path_factory.mktemp("private")
    port = free_port()
    (folder / "keys").write_text(make_key("billing")[1])
    with start_server(
        IRIS_API_RECORDS=str(folder / "records.jsonl"),
        IRIS_API_KEYS=str(folder / "keys"),
        IRIS_API_PRIVATE_PORT=str(port),
    ) as server:
        server.private_port = port
        yield server
        assert server.stop() == 0
        said = f"documentation and metrics are on http://127.0.0.1:{port}"
        assert said in server.talk()
        assert "Traceback" not in server.talk()


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/openapi.json",
        "/docs/oauth2-redirect",
        "/static-offline-docs/swagger-ui.css",
    ],
)
def test_documentation_is_on_the_private_port_alone_when_there_is_one(private, path):
    assert send(private.private_port, "GET", path).status == 200
    check_problem(private.send("GET", path), 404)


@pytest.mark.parametrize("path", ["/metrics", "/%64ocs", "/docs/", "/openapi.json?x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_private_path_is_not_there_when_it_is_asked_of_the_public_port(
    private, method, path
):
    assert private.send(method, path).status == 404


@pytest.mark.parametrize("control", ["%0a", "%0d", "%00", "%09", "%7f", "%C2%85"])
@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json"])
def test_private_path_is_refused_when_a_control_character_follows_it(
    private, path, control
):
    assert private.send("GET", path + control).status == 400
    assert send(private.private_port, "GET", path + control).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "//metrics",
        "/%2fmetrics",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/livez/..%2fmetrics",
        "/./metrics",
        "/metrics%85",
        "/metrics%E2%80%A8",
        "/metrics;x",
        "/metrics%20",
        "/Metrics",
    ],
)
def test_private_path_is_not_there_when_it_is_written_in_a_roundabout_way(
    private, path
):
    assert private.send("GET", path).status in (401, 404)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_health_is_on_both_ports_when_there_are_two(private, path):
    assert send(private.private_port, "GET", path).status == 200
    assert private.send("GET", path).status == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/model", "/", "/nowhere"])
def test_public_path_is_not_there_when_it_is_asked_of_the_private_port(private, path):
    check_problem(send(private.private_port, "GET", path), 404)


def test_metrics_need_no_key_when_they_are_asked_of_the_private_port(private):
    assert send(private.private_port, "GET", "/metrics").status != 401


def test_private_path_is_on_the_one_port_when_there_is_no_other(server):
    assert server.send("GET", "/docs").status == 200


@pytest.mark.slow
def test_no_request_goes_unanswered_when_both_ports_are_drained(tmp_path):
    private_port = free_port()
    answered, lost = [0] * 10, [0] * 10
    with start_server(
        IRIS_API_RECORDS=str(tmp_path / "records.jsonl"),
        IRIS_API_PRIVATE_PORT=str(private_port),
    ) as server:
        asked = [(server.port, "POST", "/v1/predict", BODY, JSON)]
        asked += [(private_port, "GET", "/docs", None, {})]
        clients = [
            threading.Thread(target=ask_until_closed, args=(*one, at, answered, lost))
            for at, one in enumerate(asked * 5)
        ]
        for client in clients:
            client.start()
        # Every one of them is in the middle of asking when the drain begins.
        deadline = time.monotonic() + 60
        while min(answered) <= 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.stop() == 0
        for client in clients:
            client.join()
    assert lost == [0] * 10
    assert min(answered) > 5


def ask_until_closed(port, method, path, body, headers, at, answered, lost):
    """Ask over kept-alive connections until refused; count answers and losses."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.connect()
        except OSError:
            break
        closing = False
        while not closing:
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                assert response.read() and response.status == 200
            except (OSError, http.client.HTTPException):
                lost[at] += 1
                break
            answered[at] += 1
            closing = response.headers["Connection"] == "close"
        connection.close()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"IRIS_API_PORT": "9999", "IRIS_API_PRIVATE_PORT": "9999"},
            "IRIS_API_PRIVATE_PORT: must not be IRIS_API_PORT",
        ),
        (
            {"IRIS_API_PRIVATE_HOST": "0.0.0.0"},
            "IRIS_API_PRIVATE_HOST: needs IRIS_API_PRIVATE_PORT",
        ),
    ],
)
def test_settings_are_refused_when_private_port_is_half_set(
    monkeypatch, settings, line
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    assert str(refused.value) == line


@pytest.mark.slow
def test_start_fails_with_one_line_when_the_private_port_is_busy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_command(
            IRIS_API_PORT=str(free_port()), IRIS_API_PRIVATE_PORT=str(port)
        )
    assert ended.returncode == 78
    start = (
        f"iris-api: cannot listen on 127.0.0.1 port {port}: it is in use by process "
        f"{os.getpid()} ("
    )
    end = (
        f"); end it (kill {os.getpid()}), "
        "or set IRIS_API_PRIVATE_HOST or IRIS_API_PRIVATE_PORT\n"
    )
    assert ended.stderr.startswith(start) and ended.stderr.endswith(end), ended.stderr
    assert ended.stderr.count("\n") == 1
