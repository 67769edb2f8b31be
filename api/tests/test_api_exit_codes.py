"""Both commands end with a code that says what happened, and with one line at most."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from iris_api import exit_codes, main

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = {"serve": [], "key": ["key", "somebody"]}
EVERY = pytest.mark.parametrize("command", sorted(COMMANDS))
PLANTED = """
import iris_api.main as program
def planted(*arguments):
    {what}
program.load_settings = program.make_key = planted
program.main()
"""


def run(*arguments, program=("-m", "iris_api"), stdout=subprocess.PIPE, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith("IRIS_API_")}
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **settings,
    )


@pytest.mark.slow(after=1)
@EVERY
def test_fault_has_a_code_of_its_own_and_one_line(command):
    program = ["-c", PLANTED.format(what="raise KeyError('secret')")]
    done = run(*COMMANDS[command], program=program)
    assert done.returncode == 70
    says = r"iris-api: a fault of ours: KeyError in <string>, line 4; PYTHONDEVMODE.*\n"
    assert re.fullmatch(says, done.stderr), done.stderr
    seen = run(*COMMANDS[command], program=["-X", "dev", *program])
    assert seen.returncode == 70 and "in planted" in seen.stderr


@pytest.mark.slow(after=1)
@EVERY
def test_command_says_one_line_when_its_output_fails(command):
    program = ["-c", PLANTED.format(what="print('a'); raise SystemExit")]
    with open("/dev/full", "w") as full:
        done = run(*COMMANDS[command], program=program, stdout=full)
    assert done.returncode == 74
    assert re.fullmatch("iris-api: .*No space left on device\n", done.stderr)
    done = run(*COMMANDS[command], preexec_fn=lambda: os.close(1))
    assert done.returncode == 74
    assert done.stderr == "iris-api: standard output is closed\n"


@pytest.mark.slow
def test_key_that_nobody_can_read_is_not_shown_either():
    with open("/dev/full", "w") as full:
        done = run("key", "somebody", stdout=full)
    assert done.returncode == 74
    assert done.stderr == "iris-api: No space left on device\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = run("key", "somebody", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["key"], 64), (["fly"], 64), (["--nonsense"], 64), (["key", "no name"], 78)],
    ids=str,
)
def test_error_has_a_code_of_its_own(arguments, code):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_readme_tells_every_code():
    section = README.split("\n### Starting and ending\n")[1].split("\n### ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line[:2] == "| "]
    told = {int(code) for row in rows for code in re.findall(r"\d+", row)}
    names = ("USAGE", "FAULT", "INPUT_OUTPUT", "INTERRUPTED", "NOBODY_READS")
    ours = {getattr(exit_codes, name) for name in names}
    assert told == ours | set(main.CODES.values()) | {0}
