"""Which tests a laptop runs, and that CI runs them all."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUITE = """
import pytest

def test_quick(): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow(after=1)
@pytest.mark.parametrize("case", "abc")
def test_some(case): pass
"""


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """Return the last line of pytest on a quick and a slow test, and one between."""
    folder.joinpath("test_both.py").write_text(SUITE)
    ours = {k: v for k, v in os.environ.items() if k != "CI"}
    settings = ("-c", str(ROOT / "tox.ini"), "--rootdir", str(ROOT))
    # Else it would clear away what earlier runs of everybody have left.
    settings += ("--basetemp", str(folder / "tmp"))
    # The only conftest that is meant is the root's.
    plugin = ("-o", "pythonpath=", "-p", "conftest", "--confcutdir", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *plugin, *arguments],
        cwd=folder,
        env=ours | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("-n", "2"), {}, "2 passed in"),
        ((), {}, "2 passed, 3 deselected"),
        ((), {"CI": "true"}, "5 passed in"),
        (("-m", "slow"), {}, "4 passed, 1 deselected"),
        (("test_both.py::test_slow",), {}, "1 passed in"),
        (("test_both.py::test_some[c]",), {}, "1 passed in"),
        (("-n", "2"), {"CI": "true"}, "5 passed in"),
    ],
)
def test_slow_tests_are_left_out_when_on_a_laptop(
    tmp_path: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    said: str,
) -> None:
    assert said in run(tmp_path, *arguments, **environment)


def test_gate_and_workflows_run_the_slow_tests() -> None:
    # GitHub sets CI=true in every step; what we run ourselves must do as much.
    assert "\nexport CI=true\n" in (ROOT / ".ci/run").read_text()
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "CI" in tox["testenv"]["pass_env"].split()
