"""Every task ends with a code that says what happened, and with one line at most."""

import os
import re
import subprocess
import sys

import pytest
from release_tree import ROOT, TASKS, module_of

from tasks import exit_codes, refusal

# They belong to a task, which says how they ended.
CHILDREN = {"lifeline", "mutant", "pipeline_steps"}
SCRIPTS = sorted(
    path.stem
    for path in TASKS.rglob("*.py")
    if "__main__" in path.read_text() and path.stem not in CHILDREN
)
ARGUMENTS = {
    "conditions": [".github/workflows"],
    "deploy": ["staging", "plan"],
    "publish": ["iris_model"],
    "release": ["iris_model", "99.0.0"],
    "services": ["up"],
}
# What each of them does first, whatever it is for.
PLANTED = """
import argparse, pathlib, runpy, subprocess, sys, tempfile, threading
script = sys.argv[1]
sys.argv = sys.argv[1:]
from tasks import exit_codes
whole = exit_codes.exit_code
def planted(*arguments, **named):
    if threading.current_thread() is not threading.main_thread():
        raise SystemExit  # what watches the process is not what has the bug
    {what}
def with_a_bug(name, run, codes):
    for thing, attribute in (
        (argparse.ArgumentParser, "parse_args"),
        (pathlib.Path, "read_text"),
        (pathlib.Path, "glob"),
        (pathlib.Path, "rglob"),
        (subprocess, "run"),
        (tempfile, "TemporaryDirectory"),
    ):
        setattr(thing, attribute, planted)
    return whole(name, run, codes)
exit_codes.exit_code = with_a_bug
runpy.run_module(script, run_name="__main__", alter_sys=True)
"""


def run(script, what, **settings):
    return subprocess.run(
        [
            *(sys.executable, "-c", PLANTED.format(what=what)),
            *(module_of(script), *ARGUMENTS.get(script, [])),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **settings,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_fault_has_a_code_of_its_own_and_one_line(script: str) -> None:
    done = run(script, "raise KeyError('secret')", stdout=subprocess.PIPE)
    assert done.returncode == 70, done.stderr
    says = r"[a-z ]+: a fault of ours: KeyError in <string>, line \d+; PYTHON.*\n"
    assert re.fullmatch(says, done.stderr), done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_output_that_is_lost_is_no_finding(script: str) -> None:
    printed = "print('FAIL', flush=False); raise SystemExit(0)"
    env = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        done = run(script, printed, stdout=full, env=env)
    assert done.returncode == 74
    assert re.fullmatch(".*: standard output: No space left on device\n", done.stderr)


@pytest.mark.parametrize("script", ["replay", "publish", "images", "services"])
def test_wrong_usage_is_no_finding(script: str) -> None:
    command = [sys.executable, "-m", module_of(script), "--nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 64
    assert "Traceback" not in done.stderr


def test_contributing_tells_every_code() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.split("\n## Exit codes of the tasks\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line[:2] == "| "]
    told = {int(code) for row in rows for code in re.findall(r"\d+", row)}
    names = ("USAGE", "FAULT", "INPUT_OUTPUT", "REFUSED", "INTERRUPTED", "NOBODY_READS")
    ours = {getattr(exit_codes, name) for name in names}
    assert told == ours | set(refusal.RED_GATE.values()) | {0, 2, 3}
