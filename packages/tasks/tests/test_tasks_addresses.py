"""Where the services listen: settings that are blank, of IPv6, or not ours."""

import http.client
from contextlib import closing
from pathlib import Path

import pytest
from running import Running

from tasks.system import addresses, services
from tasks.system.environments import CannotStart


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "ALLOWED_HOSTS"):
        monkeypatch.delenv(f"IRIS_API_{name}", raising=False)
    for name in ("PUBLIC_HOST", "PUBLIC_PORT", "LIVE_URL", "ALLOWED_HOSTS"):
        monkeypatch.delenv(f"SHADOW_ROUTER_{name}", raising=False)


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("", "", "http://127.0.0.1:8001"),
        (" ", "9001", "http://127.0.0.1:9001"),
        ("::1", "9001", "http://[::1]:9001"),
        ("::", "", "http://[::1]:8001"),
        ("0.0.0.0", "", "http://127.0.0.1:8001"),
        ("localhost", "tcp://10.0.0.1:8001", "http://localhost:8001"),
    ],
)
def test_listener_can_be_reached_at_its_url(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, url: str
) -> None:
    monkeypatch.setenv("IRIS_API_HOST", host)
    monkeypatch.setenv("IRIS_API_PORT", port)
    assert addresses.listener("IRIS_API_PORT", "8001", "IRIS_API_HOST").url == url


@pytest.mark.parametrize("port", ["many", "0", "65536", "-1", "80.0", "٨٠", "http://a"])
def test_start_is_refused_in_one_line_when_a_port_is_none(
    monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("IRIS_API_PORT", port)
    with pytest.raises(CannotStart) as refused:
        services.main(["serve"])
    assert str(refused.value) == f"IRIS_API_PORT: {port!a} is no port"


@pytest.mark.parametrize("url", ["8001", "http://", "http://[::1", "http://a:b"])
def test_start_is_refused_in_one_line_when_a_url_is_none(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SHADOW_ROUTER_LIVE_URL", url)
    with pytest.raises(CannotStart) as refused:
        services.main(["up"])
    said = f"SHADOW_ROUTER_LIVE_URL: {url!a} is no URL such as http://127.0.0.1:8001"
    assert str(refused.value) == said


def test_address_of_ipv6_is_named_when_it_is_taken() -> None:
    address = addresses.Address("http://[::2]:1", "SHADOW_ROUTER_LIVE_URL")
    with pytest.raises(CannotStart, match=r"^\[::2\]:1 cannot be used: Cannot assign"):
        services.check_free(address)


def test_books_are_where_they_are_without_the_setting_when_it_is_blank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHADOW_ROUTER_DATA_DIR", "")
    assert addresses.read("SHADOW_ROUTER_DATA_DIR", ".shadow_router") == (
        ".shadow_router"
    )


@pytest.mark.parametrize(
    ("host", "router", "api", "expected"),
    [
        ("", "", "", ""),
        ("::1", "", "", ""),
        ("localhost", "a.example", "", "a.example"),
        ("", "a.example", "b.example", "b.example,a.example"),
        ("0.0.0.0", "", "", "*"),
        ("0.0.0.0", "a.example", "", "a.example"),
    ],
)
def test_apis_answer_for_what_the_router_answers_for(
    monkeypatch: pytest.MonkeyPatch, host: str, router: str, api: str, expected: str
) -> None:
    monkeypatch.setenv("SHADOW_ROUTER_PUBLIC_HOST", host)
    monkeypatch.setenv("SHADOW_ROUTER_ALLOWED_HOSTS", router)
    monkeypatch.setenv("IRIS_API_ALLOWED_HOSTS", api)
    assert addresses.hosts_of_apis() == expected


@pytest.mark.slow
def test_listed_host_is_answered_by_live_when_it_comes_through_the_router(
    tmp_path: Path,
) -> None:
    system = Running(
        tmp_path,
        "up",
        SHADOW_ROUTER_PUBLIC_HOST="::1",
        SHADOW_ROUTER_PRIVATE_HOST="::1",
        SHADOW_ROUTER_ALLOWED_HOSTS="models.example.org",
        SHADOW_ROUTER_RECORD_DIR="",
        IRIS_API_PORT="tcp://10.0.0.1:8001",
        SHADOW_ROUTER_SERVICE_HOST="10.0.0.1",
    )
    try:
        system.wait_for(f"report   http://[::1]:{system.private}/")
        assert status(system.public, "models.example.org") == 200
        assert status(system.public, "evil.example") == 421
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    finally:
        system.stop()


def status(port: int, host: str) -> int:
    with closing(http.client.HTTPConnection("::1", port, timeout=10)) as client:
        client.request("GET", "/v1/model", headers={"Host": host})
        return client.getresponse().status
