"""The router on systems that are not this one, as far as they can be played here."""

import subprocess
import sys
from pathlib import Path

import pytest
from router_fakes import FakeServer
from router_other_systems import MACOS, WINDOWS, on
from router_system import System, post_many

UNITS = Path(__file__).parents[3]


@pytest.mark.parametrize("arguments", [[], ["serve"], ["verdict"], ["--help"]])
def test_command_ends_with_one_line_when_the_system_is_windows(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "shadow_router", *arguments],
        env=on(WINDOWS, tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert done.stderr == (
        "shadow-router: runs on Linux and macOS, not on win32; "
        "on Windows it runs in WSL 2\n"
    )
    assert done.stdout == ""


def test_exchanges_are_compared_when_the_system_lacks_what_macos_lacks(tmp_path):
    with FakeServer() as live, FakeServer() as shadow:
        system = System(
            tmp_path / "data",
            live.url,
            shadow.url,
            RECORD_DIR=tmp_path / "recorded",
        )
        system.env["PYTHONPATH"] = on(MACOS, tmp_path)["PYTHONPATH"]
        with system:
            post_many(system, 5)
            assert system.settled_fates() == {"match": 5}
            assert system.run("control", "rate", "0.5").returncode == 0
            assert system.run("audit").returncode == 0
            assert system.stop() == 0
        assert "Traceback" not in system.log
