"""A port of this machine alone answers no name of a stranger's (DNS rebinding)."""

import http.client
import json
import socket
from contextlib import closing

import pytest
from router_fakes import FakeServer
from router_system import System, free_port, raw_exchange, wait_until

from shadow_router.errors import SettingsInvalid
from shadow_router.settings import load_settings

OURS = ["127.0.0.1:9000", "127.0.0.2", "LOCALHOST", "localhost.", "[::1]:8000"]
LISTED = ["models.example.org", "Models.Example.org.:443", "a.corp.example"]
OTHERS = [
    "evil.example",
    "",
    "localhost.evil.example",
    "corp.example",
    "localhost@evil.example",
    "evil@localhost",
    "localhost:80:80",
    "localhost, evil.example",
    "10.0.0.1",
    "0.0.0.0",
    "\xe9.example",
]
HEALTH = ["/livez", "/readyz", "/health", "/metrics", "/v2/health/live"]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Return a system that answers for two more hosts, with what arrived at live."""
    folder = tmp_path_factory.mktemp("hosts") / "data"
    listed = {"ALLOWED_HOSTS": "models.example.org,*.corp.example"}
    with FakeServer() as live, FakeServer() as shadow:
        with System(folder, live.url, shadow.url, **listed) as system:
            system.live = live
            yield system


def ask(port, path, host, method="GET", body=None, **headers):
    """Return status and body of a request that names a host."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        headers["Host"] = host.encode("latin-1")
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("host", OURS + LISTED)
def test_request_is_answered_when_its_host_is_ours_or_listed(system, host):
    assert ask(system.public, "/v1/anything", host)[0] == 200
    assert system.live.arrived[-1].values("host") == [host]
    assert ask(system.private, "/report.json", host)[0] == 200


@pytest.mark.parametrize("host", OTHERS)
def test_request_is_421_and_goes_nowhere_when_its_host_is_not_ours(system, host):
    arrived = len(system.live.arrived)
    asked = [
        (system.public, "/v1/predict", "POST", b'{"inputs": [1]}'),
        (system.private, "/report.json", "GET", None),
        (system.private, "/", "GET", None),
        (system.private, "/controls/kill-switch", "POST", b"{}"),
        (system.private, "/labels", "POST", b"{}"),
        (system.private, "/known", "POST", b"{}"),
    ]
    for port, path, method, body in asked:
        status, headers, answer = ask(port, path, host, method, body)
        assert status == 421, path
        assert headers["Content-Type"] == "application/problem+json"
        assert "SHADOW_ROUTER_ALLOWED_HOSTS" in json.loads(answer)["detail"]
    forwarded = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    assert ask(system.public, "/v1/anything", host, **forwarded)[0] == 421
    assert len(system.live.arrived) == arrived


def test_refused_host_is_counted_once_when_all_is_done(system):
    before = system.audit()["fates"]["skipped_refused"]
    ask(system.public, "/v1/predict", "evil.example", "POST", b"{}")
    fates = system.settled_fates()
    assert fates["skipped_refused"] == before + 1


@pytest.mark.parametrize("path", HEALTH)
def test_health_and_metrics_are_answered_when_any_host_is_named(system, path):
    assert ask(system.public, path, "evil.example")[0] == 200
    if path in ("/livez", "/readyz", "/metrics"):
        assert ask(system.private, path, "evil.example")[0] == 200


@pytest.mark.parametrize("port", ["public", "private"])
def test_authority_of_the_target_counts_when_it_has_one(system, port):
    port = getattr(system, port)
    request = b"GET http://%b/report.json HTTP/1.1\r\nHost: %b\r\n\r\n"
    head, _ = raw_exchange(port, request % (b"evil.example", b"localhost"))
    assert head.split()[1] == b"421"
    head, _ = raw_exchange(port, request % (b"a@localhost", b"localhost"))
    assert head.split()[1] == b"421"
    head, _ = raw_exchange(port, request % (b"localhost", b"evil.example"))
    assert head.split()[1] == b"200"


def test_live_is_told_the_authority_when_the_target_has_one(system):
    target = b"http://models.example.org/v1/anything"
    raw_exchange(system.public, b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)
    assert system.live.arrived[-1].values("host") == ["models.example.org"]


def test_any_host_is_answered_when_other_machines_can_reach_the_ports(tmp_path):
    open_ports = {"PUBLIC_HOST": "0.0.0.0", "PRIVATE_HOST": "0.0.0.0"}
    open_ports["ALLOWED_HOSTS"] = ""
    with FakeServer() as live, FakeServer() as shadow:
        with System(tmp_path / "a", live.url, shadow.url, **open_ports) as system:
            assert ask(system.public, "/v1/anything", "a.example")[0] == 200
            assert ask(system.private, "/report.json", "a.example")[0] == 200
        listed = open_ports | {"ALLOWED_HOSTS": "a.example"}
        with System(tmp_path / "b", live.url, shadow.url, **listed) as system:
            assert ask(system.public, "/v1/anything", "A.example")[0] == 200
            assert ask(system.public, "/v1/anything", "b.example")[0] == 421
            assert ask(system.private, "/report.json", "b.example")[0] == 421


@pytest.mark.parametrize("value", ["http://a.example", "a.example:80", "a b", "a.*"])
def test_allowed_hosts_are_refused_in_one_line_when_one_is_none(monkeypatch, value):
    monkeypatch.setenv("SHADOW_ROUTER_ALLOWED_HOSTS", f"ok.example, {value}")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    expected = f"SHADOW_ROUTER_ALLOWED_HOSTS: {value!a} is no host"
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def test_urls_have_brackets_when_the_ports_are_of_ipv6(tmp_path):
    hosts = {"PUBLIC_HOST": "::1", "PRIVATE_HOST": "::1"}
    with FakeServer() as live, FakeServer() as shadow:
        system = System(tmp_path / "data", live.url, shadow.url, **hosts)
        try:
            system.start(wait=False)
            assert wait_until(lambda: status_on_ipv6(system.private) == 200)
            wait_until(lambda: "router: " in system.log)
        finally:
            system.__exit__()
    assert f"router: http://[::1]:{system.public} -> http://127" in system.log
    assert f"report on http://[::1]:{system.private}/" in system.log


def status_on_ipv6(port):
    with closing(http.client.HTTPConnection("::1", port, timeout=20)) as client:
        client.request("GET", "/livez")
        return client.getresponse().status


def test_line_has_brackets_when_a_port_of_ipv6_is_taken(tmp_path):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        settings = {"PUBLIC_HOST": "::1", "PUBLIC_PORT": port}
        url = f"http://127.0.0.1:{free_port()}"
        system = System(tmp_path / "data", url, url, only="router", **settings)
        ended = system.run("serve", "--only", "router")
    assert ended.returncode == 78
    assert f"[::1]:{port} is in use" in ended.stderr
