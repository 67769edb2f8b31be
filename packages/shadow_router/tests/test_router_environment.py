"""Variables that look like settings: blank ones, and what Kubernetes sets."""

import os
import signal
from pathlib import Path

import pytest
from router_fakes import FakeServer
from router_system import System, refused_url

from shadow_router.settings import PREFIX, Settings, load_settings

LINKS = {
    "PORT": "tcp://10.0.0.1:8000",
    "PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "PORT_8000_TCP_ADDR": "10.0.0.1",
    "PORT_8000_TCP_PORT": "8000",
    "PORT_8000_TCP_PROTO": "tcp",
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "8000",
    "SERVICE_PORT_HTTP": "8000",
    # Of the services shadow-router-public, shadow-router-private and -report.
    "PUBLIC_PORT": "tcp://10.0.0.1:8000",
    "PRIVATE_PORT": "udp://[fd00::1]:8010",
    "REPORT_SERVICE_HOST": "10.0.0.1",
    "REPORT_PORT_8010_TCP": "tcp://10.0.0.1:8010",
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
    assert load_settings().record_dir is None


def test_links_to_services_are_no_settings(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert load_settings() == Settings()
    assert not any(name.startswith(PREFIX) for name in os.environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_PORT", "http://10.0.0.1:8000"),
        ("PUBLIC_PORT", "tcp:8000"),
        ("PUBLIC_PORT", "many"),
        ("PUBLIC_HOSTS", "a"),
        ("SERVICE", "tcp://10.0.0.1:8000"),
        ("PORT", "8000"),
    ],
)
def test_start_ends_in_one_line_when_a_variable_is_junk(tmp_path, name, value):
    system = System(tmp_path / "data", refused_url(), refused_url())
    ended = system.run("serve", **{PREFIX + name: value})
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert PREFIX + name in ended.stderr


def test_links_are_told_of_once_when_the_system_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blank = {"RECORD_DIR": "", "STORE_URL": "", "CONTROL_KEY_FILE": "", "RULES": ""}
    links = {k: v for k, v in LINKS.items() if not k.startswith(("PUBLIC", "PRIV"))}
    with FakeServer() as live, FakeServer() as shadow:
        settings = {**blank, **links}
        with System(tmp_path / "data", live.url, shadow.url, **settings) as system:
            assert system.stop(signal.SIGTERM) == 0
        said = [line for line in system.log.splitlines() if "Kubernetes" in line]
        assert len(said) == 1
        assert "SHADOW_ROUTER_PORT, SHADOW_ROUTER_PORT_8000_TCP, " in said[0]
    assert {path.name for path in Path().iterdir()} == {"data", "data.log"}
