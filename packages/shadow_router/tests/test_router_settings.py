"""Settings are strict, and every one of them is documented."""

import re
from pathlib import Path

import pytest

import shadow_router
from shadow_router.errors import SettingsInvalid
from shadow_router.settings import PREFIX, Settings, load_settings

UNIT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    import os

    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def test_settings_are_those_of_one_machine_when_nothing_is_set():
    settings = load_settings()
    assert (settings.public_port, settings.private_port) == (8000, 8010)
    assert settings.live_url == "http://127.0.0.1:8001"
    assert settings.shadow_url == "http://127.0.0.1:8002"
    assert settings.data_dir == Path(".shadow_router")
    assert settings.rules is None


def test_settings_split_lists_when_they_hold_commas(monkeypatch):
    monkeypatch.setenv(PREFIX + "COPY_HEADERS", "X-API-Key, X-Tenant")
    assert load_settings().copy_headers == ("X-API-Key", "X-Tenant")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_PORT", "many"),
        ("PUBLIC_PORT", "65536"),
        ("SAMPLE_RATE", "1.5"),
        ("SAMPLE_RATE", "nan"),
        ("GRACE_S", "0"),
        ("LIVE_URL", "127.0.0.1:8001"),
        ("LIVE_URL", "http://host/path"),
        ("QUEUE_ITEMS", "0"),
    ],
)
def test_settings_are_refused_in_one_line_when_a_value_is_wrong(
    monkeypatch, name, value
):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{PREFIX}{name}: ")
    assert "\n" not in str(caught.value)


def test_settings_are_refused_when_a_name_is_unknown(monkeypatch):
    monkeypatch.setenv(PREFIX + "LIVE_ULR", "http://x")
    with pytest.raises(SettingsInvalid, match="unknown setting SHADOW_ROUTER_LIVE_ULR"):
        load_settings()


def test_every_setting_is_documented_with_its_default():
    text = (UNIT / "README.md").read_text()
    for name in Settings.model_fields:
        assert f"`{PREFIX}{name.upper()}`" in text


def test_changelog_begins_with_the_version():
    text = (UNIT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.M)
    assert released[0] == shadow_router.__version__


def test_every_promise_names_tests_that_exist():
    text = (UNIT / "README.md").read_text()
    rows = re.findall(r"^\| (P\d+) \| .+ \| (`.+`) \|$", text, re.M)
    assert [row[0] for row in rows] == (
        "P1 P2 P3 P4 P5 P6 P9 P10 P11 P13 P14 P15 P16 P17".split()
    )
    sources = "".join(path.read_text() for path in (UNIT / "tests").glob("test_*.py"))
    for promise, names in rows:
        for name in names.split(", "):
            assert f"def {name.strip('`')}(" in sources, promise
