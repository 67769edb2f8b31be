"""Two replacements take turns on the one file of pins, and write it whole."""

import importlib.util
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "replace.py"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script as a module, in a folder and with a path that have nothing."""
    spec = importlib.util.spec_from_file_location("replace_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(module, "PINS", tmp_path / ".env")
    return module


def test_replacement_waits_for_another(script, monkeypatch):
    done = []
    monkeypatch.setattr(script, "replace", lambda *asked: done.append(asked))
    waiting = threading.Thread(target=script.main, args=("api-live", "x"))
    with script.turn():
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and not done
    waiting.join(5)
    assert done == [("api-live", "x")]


def test_pins_are_written_whole(script, tmp_path):
    script.PINS.write_text("API_SHADOW_IMAGE=a\n")
    held = script.PINS.open()
    before = script.PINS.read_text()
    script.write_pins(script.with_pin(before, "API_LIVE_IMAGE", "b"))
    # Who was reading it goes on with what it was.
    assert held.read() == "API_SHADOW_IMAGE=a\n"
    assert script.PINS.read_text() == "API_SHADOW_IMAGE=a\nAPI_LIVE_IMAGE=b\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
    held.close()
