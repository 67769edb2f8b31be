"""A listener of this machine alone answers no name of a stranger's (DNS rebinding)."""

import json
import socket

import pytest
from api_server import (
    ROW,
    check_problem,
    free_port,
    run_command,
    send,
    send_bytes,
    start_server,
)

from iris_api.errors import SettingsInvalid
from iris_api.hosts import HostGuard, guard_listener, url_of
from iris_api.settings import load_settings

BODY = json.dumps({"inputs": [ROW]}).encode()
HEALTH = ["/livez", "/readyz", "/health", "/v2/health/live", "/v2/health/ready"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server on loopback with two ports, which answers for two more hosts."""
    port = free_port()
    with start_server(
        IRIS_API_RECORDS=str(tmp_path_factory.mktemp("hosts") / "records.jsonl"),
        IRIS_API_ALLOWED_HOSTS="Models.example.org, *.corp.example",
        IRIS_API_PRIVATE_PORT=str(port),
    ) as server:
        server.private_port = port
        yield server


def status_of(port, target, *lines, version="1.1"):
    """Return the status of a request that is sent as it is."""
    head = "\r\n".join([f"GET {target} HTTP/{version}", *lines, "Connection: close"])
    return int(send_bytes(port, f"{head}\r\n\r\n".encode("latin-1"))[9:12])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9000",  # another port: somebody forwards one
        "127.0.0.2",
        "LocalHost",
        "localhost.",
        "localhost:",
        "[::1]:8001",
        "[::ffff:127.0.0.1]",
        "models.example.org",
        "MODELS.example.org.:443",
        "a.corp.example",
    ],
)
def test_request_is_answered_when_its_host_is_ours_or_listed(guarded, host):
    assert guarded.send("GET", "/v1/model", headers={"Host": host}).status == 200
    docs = send(guarded.private_port, "GET", "/docs", headers={"Host": host})
    assert docs.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8001",
        "",
        "localhost.evil.example",
        "evil.localhost.example",
        "127.0.0.1.evil.example",
        "notmodels.example.org",
        "corp.example",
        "evilcorp.example",
        "localhost@evil.example",
        "evil@localhost",
        "localhost, evil.example",
        "localhost:8001:8001",
        "localhost:evil",
        "localhost/",
        "localhost..",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "::1",
        "2130706433",
        "\xe9.example",
        "l" * 5000,
    ],
)
def test_request_is_421_when_its_host_is_not_ours(guarded, host):
    for port, path in ((guarded.port, "/v1/model"), (guarded.private_port, "/docs")):
        reply = send(port, "GET", path, headers={"Host": host.encode("latin-1")})
        problem = check_problem(reply, 421)
        assert "IRIS_API_ALLOWED_HOSTS" in problem["detail"]


def test_prediction_is_421_before_it_is_made_when_its_host_is_not_ours(guarded):
    before = guarded.count_records()
    headers = {"Content-Type": "application/json", "Host": "evil.example"}
    check_problem(guarded.predict(BODY, headers), 421)
    headers["X-Forwarded-Host"] = "localhost"
    check_problem(guarded.predict(BODY, headers), 421)
    inferred = guarded.send("POST", "/v2/models/iris_model/infer", b"{}", headers)
    assert inferred.status == 421
    assert "error" in inferred.json
    assert guarded.count_records() == before
    metrics = send(guarded.private_port, "GET", "/metrics").body.decode()
    assert 'status="421"' in metrics


@pytest.mark.parametrize("path", HEALTH)
def test_health_is_answered_when_any_host_is_named(guarded, path):
    reply = guarded.send("GET", path, headers={"Host": "evil.example"})
    assert reply.status == 200


def test_metrics_are_answered_when_any_host_is_named(guarded):
    asked = {"Host": "evil.example"}
    port = guarded.private_port
    assert send(port, "GET", "/metrics", headers=asked).status == 200
    assert send(port, "GET", "/%6detrics?x", headers=asked).status == 200
    assert send(port, "GET", "/metrics/x", headers=asked).status == 421


def test_authority_of_the_target_counts_when_it_has_one(guarded):
    local, evil = "Host: localhost", "Host: evil.example"
    port = guarded.port
    assert status_of(port, "http://evil.example/v1/model", local) == 421
    assert status_of(port, "http://evil.example/?localhost/v1/model", local) == 421
    assert status_of(port, "http://evil.example", local) in (400, 421)
    assert status_of(port, "http://evil.example?/localhost", local) in (400, 421)
    assert status_of(port, "HTTPS://a@localhost/v1/model", local) == 421
    assert status_of(port, "http://localhost:1/v1/model", evil) == 200
    assert status_of(port, "http://evil.example/livez", local) == 200
    assert status_of(port, "http://evil.example/v1/model", version="1.0") == 421


def test_request_without_a_host_is_answered_when_it_is_of_http_1_0(guarded):
    assert status_of(guarded.port, "/v1/model", version="1.0") == 200
    evil = status_of(guarded.port, "/v1/model", "Host: evil.example", version="1.0")
    assert evil == 421


def test_any_host_is_answered_when_other_machines_can_reach_the_listener(tmp_path):
    settings = {
        "IRIS_API_HOST": "0.0.0.0",
        "IRIS_API_RECORDS": str(tmp_path / "records.jsonl"),
    }
    asked = {"Host": "models.example.org"}
    with start_server(IRIS_API_ALLOWED_HOSTS="", **settings) as server:
        assert server.send("GET", "/v1/model", headers=asked).status == 200
    with start_server(IRIS_API_ALLOWED_HOSTS="a.example", **settings) as server:
        assert server.send("GET", "/v1/model", headers=asked).status == 421
        assert server.send("GET", "/v1/model").status == 200
        asked = {"Host": "A.example:80"}
        assert server.send("GET", "/v1/model", headers=asked).status == 200


@pytest.mark.parametrize(
    ("host", "address", "allowed", "named", "is_served"),
    [
        ("127.0.0.1", "127.0.0.1", (), b"evil.example", False),
        ("::1", "::1", (), b"evil.example", False),
        ("127.8.0.1", "127.8.0.1", (), b"127.8.0.1:1", True),
        ("127.0.0.1", "127.0.0.1", ("*",), b"evil.example", True),
        ("127.0.0.1", "127.0.0.1", ("::2",), b"[0::2]:80", True),
        ("::", "::", ("a.example",), b"evil.example", False),
        ("10.0.0.9", "10.0.0.9", ("a.example",), b"10.0.0.9:80", True),
        ("box.lan", "10.0.0.9", ("a.example",), b"BOX.lan", True),
    ],
)
def test_guard_serves_what_is_bound_and_listed(
    host, address, allowed, named, is_served
):
    class Bound:
        def getsockname(self):
            return address, 1

    assert guard_listener(Bound(), host, allowed).admits(named) is is_served


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_only_a_listener_of_this_machine_is_guarded_when_nothing_is_listed(host):
    with socket.create_server((host, 0)) as listener:
        assert (guard_listener(listener, host, ()) is None) == (host == "0.0.0.0")


def test_guard_forgets_spellings_when_there_are_many():
    guard = HostGuard(["127.0.0.1"])
    for number in range(1000):
        assert not guard.admits(b"%d.example" % number)
    assert guard._admits.cache_info().currsize == 256


@pytest.mark.parametrize(
    "value", ["http://a.example", "a.example:80", "a b", "a.*", "*.*.a", "\xe4.example"]
)
def test_allowed_hosts_are_refused_in_one_line_when_one_is_none(monkeypatch, value):
    monkeypatch.setenv("IRIS_API_ALLOWED_HOSTS", f"ok.example, {value}")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    assert str(refused.value).startswith(f"IRIS_API_ALLOWED_HOSTS: {value!a} is no ")
    assert "\n" not in str(refused.value)


def test_start_ends_in_one_line_when_an_allowed_host_is_none():
    ended = run_command(IRIS_API_ALLOWED_HOSTS="http://a")
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1


def test_url_has_brackets_when_the_address_has_colons():
    assert url_of("::1", 8001) == "http://[::1]:8001"
    assert url_of("127.0.0.1", 8001) == "http://127.0.0.1:8001"
