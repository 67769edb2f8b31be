"""Variables that look like settings: blank ones, and what Kubernetes sets."""

import os

import pytest
from api_server import free_port, run_command, start_server

from iris_api.settings import PREFIX, Settings, load_settings

LINKS = {
    "PORT": "tcp://10.0.0.1:8001",
    "PORT_8001_TCP": "tcp://10.0.0.1:8001",
    "PORT_8001_TCP_ADDR": "10.0.0.1",
    "PORT_8001_TCP_PORT": "8001",
    "PORT_8001_TCP_PROTO": "tcp",
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "8001",
    "SERVICE_PORT_HTTP": "8001",
    # Of the services iris-api-private and iris-api-live.
    "PRIVATE_PORT": "tcp://[fd00::1]:8003",
    "LIVE_SERVICE_HOST": "10.0.0.1",
    "LIVE_PORT": "tcp://10.0.0.1:8001",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_setting_is_not_set_when_it_is_blank(monkeypatch, blank):
    for name in Settings.model_fields:
        monkeypatch.setenv(PREFIX + name.upper(), blank)
    assert load_settings() == Settings()


def test_links_to_services_are_no_settings(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http://10.0.0.1:8001"),
        ("PORT", "tcp"),
        ("PORTS", "tcp://10.0.0.1:8001"),
        ("HOSTS", "a"),
    ],
)
def test_start_ends_in_one_line_when_a_variable_is_junk(name, value):
    ended = run_command(**{PREFIX + name: value})
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"iris-api: {PREFIX}{name}")


def test_links_are_told_of_in_one_line_when_the_server_starts(tmp_path):
    settings = {PREFIX + name: value for name, value in LINKS.items()}
    settings[PREFIX + "PORT"] = str(free_port())
    settings[PREFIX + "RECORDS"] = str(tmp_path / "records.jsonl")
    with start_server(**settings) as server:
        assert server.stop() == 0
        said = [line for line in server.talk().splitlines() if "Kubernetes" in line]
    assert len(said) == 1
    assert " WARNING IRIS_API_LIVE_PORT, IRIS_API_LIVE_SERVICE_HOST, " in said[0]


@pytest.mark.parametrize("host", ["::1", "::"])
def test_server_listens_and_says_where_when_its_address_is_of_ipv6(tmp_path, host):
    records = str(tmp_path / "records.jsonl")
    if host == "::":
        # Ready when 127.0.0.1 answers: `::` is of both families.
        with start_server(IRIS_API_HOST=host, IRIS_API_RECORDS=records) as server:
            assert f" on http://[::]:{server.port}\n" in server.talk()
        return
    settings = {"IRIS_API_PRIVATE_PORT": str(free_port()), "IRIS_API_HOST": "::"}
    settings |= {"IRIS_API_PRIVATE_HOST": host, "IRIS_API_RECORDS": records}
    with start_server(**settings) as server:
        port = settings["IRIS_API_PRIVATE_PORT"]
        assert f" are on http://[::1]:{port}\n" in server.talk()
