"""Every command ends with a code that says what happened, and with one line at most."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from router_fakes import FakeServer
from test_router_judging import fill

from shadow_router import cli, exit_codes
from shadow_router.collector.recording import Header, encode_header
from shadow_router.verdict.verdict import EXIT_CODES

README = (Path(__file__).parents[1] / "README.md").read_text()
NOWHERE = "http://127.0.0.1:1"
COMMANDS = {
    "audit": ["audit"],
    "control": ["control"],
    "flips": ["flips"],
    "known": ["known", "label_flip", "--reason", "seen", "--expires", "2999-12-31"],
    "label": ["label", "labels.csv"],
    "promote": ["promote"],
    "record": ["record", "recording.gz"],
    "replay": ["replay", "recording.gz", "--shadow", NOWHERE],
    "report": ["report"],
    "rollback": ["rollback"],
    "serve": ["serve"],
    "verdict": ["verdict"],
}
EVERY = pytest.mark.parametrize("command", sorted(COMMANDS))
# The settings are what each command reads first.
PLANTED = """
import typer, shadow_router.settings
def planted():
    {what}
shadow_router.settings.load_settings = planted
from shadow_router.cli import main
main()
"""
FINDING = "print('FAIL'); raise typer.Exit(1)"


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """A data directory whose verdict is FAIL and whose books do not balance."""
    directory = tmp_path_factory.mktemp("books")
    fill(directory, count=200, flips=100)
    return directory


def run(folder, *arguments, program=("-m", "shadow_router"), stdout=None, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHADOW_ROUTER_")}
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=env | {"SHADOW_ROUTER_DATA_DIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **settings,
    )


def planted(what):
    return ["-c", PLANTED.format(what=what)]


def test_commands_here_are_all_there_are():
    assert typer.main.get_command(cli.app).commands.keys() == COMMANDS.keys()


@pytest.mark.slow(after=1)
@EVERY
def test_finding_that_cannot_be_printed_is_an_error_in_one_line(tmp_path, command):
    with open("/dev/full", "w") as full:
        done = run(tmp_path, *COMMANDS[command], program=planted(FINDING), stdout=full)
    assert done.returncode == 74
    assert re.fullmatch("shadow-router: .*No space left on device\n", done.stderr)


@pytest.mark.slow(after=1)
@EVERY
def test_command_says_one_line_when_its_output_is_closed(tmp_path, command):
    done = run(tmp_path, *COMMANDS[command], preexec_fn=lambda: os.close(1))
    assert done.returncode == 74
    assert done.stderr == "shadow-router: standard output is closed\n"


@pytest.mark.slow(after=1)
@EVERY
def test_command_ends_quietly_when_nobody_reads(tmp_path, command):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(tmp_path, *COMMANDS[command], program=planted(FINDING), stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["verdict"], ["verdict", "--json"], ["audit"], ["audit", "--json"], ["flips"]],
)
@pytest.mark.parametrize("nobody", [False, True])
def test_what_is_found_is_no_answer_when_it_cannot_be_read(books, words, nobody):
    whole = run(books, *words)
    assert whole.returncode in (0, 1) and whole.stdout
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "w") as full:
        done = run(books, *words, stdout=writing if nobody else full)
    os.close(writing)
    assert done.returncode == (141 if nobody else 74)
    assert len(done.stderr.splitlines()) == (0 if nobody else 1)


@pytest.mark.slow(after=1)
@EVERY
def test_fault_has_a_code_of_its_own_and_one_line(tmp_path, command):
    program = planted("raise KeyError('secret')")
    done = run(tmp_path, *COMMANDS[command], program=program)
    assert done.returncode == 70
    says = "shadow-router: a fault of ours: KeyError in <string>, line 4; PYTHON.*\n"
    assert re.fullmatch(says, done.stderr), done.stderr


def test_fault_shows_where_it_is_when_asked(tmp_path):
    program = ["-X", "dev", *planted("raise KeyError(1)")]
    done = run(tmp_path, "audit", program=program)
    assert done.returncode == 70
    assert "Traceback" in done.stderr and "in planted" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["audit", "verdict", "replay", "report"])
def test_wrong_usage_is_no_finding(tmp_path, command):
    done = run(tmp_path, command, "--nonsense")
    assert (done.returncode, done.stdout) == (64, "")
    assert "--nonsense" in done.stderr and "Traceback" not in done.stderr
    assert run(tmp_path).returncode == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("none/report.html", "none/report.html: No such file or directory"),
        (".", "Is a directory"),
        ("/dev/full", "No space left on device"),
        ("/proc/report.html", "/proc/report.html: No such file or directory"),
    ],
)
def test_report_says_one_line_when_it_cannot_be_written(books, output, says):
    done = run(books, "report", "--output", output)
    assert done.returncode == 74
    assert done.stderr.startswith("shadow-router: ") and done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["record", "none/out.gz"], 78),
        (["known", "flip", "--reason", "x", "--expires", "99999-01-01"], 78),
        (["control", "rate", "nan"], 64),
        (["record", "out.gz", "--requests", "9" * 400], 78),
        (["promote", "--max-age-minutes", "1e308"], 78),
        (["promote", "--max-age-minutes", "nan"], 64),
        (["replay", "."], 64),
        (["replay", ".", "--shadow", NOWHERE], 78),
        (["replay", "/dev/null", "--shadow", NOWHERE], 78),
        (["replay", "out.gz", "--shadow", "http://[::1"], 78),
        (["replay", "out.gz", "--shadow", f"http://a:{'9' * 5000}"], 78),
        (["label", "none.csv"], 78),
        (["label", "."], 78),
    ],
    ids=lambda value: str(value)[:40],
)
def test_error_is_no_finding(tmp_path, command, code):
    (tmp_path / "control.key").write_text("local 0123456789abcdef\n")
    done = run(tmp_path, *command)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code != 64:
        assert done.stderr.count("\n") == 1, done.stderr


LINE = {
    "id": "a",
    "at_ns": 1,
    "method": "POST",
    "target": "/v1/predict",
    "headers": [["content-type", "application/json"]],
    "body": '{"inputs": [{"x": 1}]}',
    "live": {"status": 200, "headers": {}, "ms": 1.0, "body": "{}"},
}


def replayed(folder, url, lines, requests):
    path = folder / "recording.gz"
    header = encode_header(Header(requests=requests))
    path.write_bytes(gzip.compress(header + "".join(lines).encode(), mtime=0))
    return run(folder, "replay", str(path), "--shadow", url, "--json")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        '"at_ns": 9223372036854775808',
        f'"at_ns": {"9" * 4300}',
        f'"at_ns": {"9" * 5000}',
        '"at_ns": -1',
        '"at_ns": Infinity',
        '"at_ns": 1.5',
        '"at_ns": true',
        '"at_ns": "1"',
        '"live": {"status": 1e3, "headers": {}, "ms": 1, "body": "{}"}',
        '"live": {"status": 18446744073709551616, "headers": {}, "ms": 1, "body": ""}',
        '"live": {"status": -1, "headers": {}, "ms": 1, "body": "{}"}',
        '"live": {"status": 200, "headers": {}, "ms": NaN, "body": "{}"}',
        '"live": {"status": 200, "headers": {}, "ms": 1e400, "body": "{}"}',
        '"live": {"status": 200, "headers": {}, "ms": -1, "body": "{}"}',
    ],
    ids=lambda value: value[:40],
)
def test_line_is_lost_when_a_number_is_beyond_what_books_hold(tmp_path, change):
    line = json.dumps(LINE)[:-1] + f", {change}}}\n"
    with FakeServer() as shadow:
        done = replayed(tmp_path, shadow.url, [line], 1)
    assert done.returncode == EXIT_CODES[cli_state(done)], done.stderr
    assert json.loads(done.stdout)["fates"]["internal_error"] == 1


def cli_state(done):
    state = json.loads(done.stdout)["verdict"]["state"]
    return next(one for one in EXIT_CODES if one.value == state)


@pytest.mark.slow
@pytest.mark.parametrize("requests", [10**30, -1, 1.5, True, "1", 10_000_001])
def test_recording_is_refused_when_it_counts_what_cannot_be(tmp_path, requests):
    done = replayed(tmp_path, NOWHERE, [], requests)
    assert done.returncode == 78
    assert done.stderr.endswith("its first line is no header\n")


@pytest.mark.slow
def test_extreme_numbers_in_answers_and_inputs_are_compared(tmp_path):
    bodies = [
        '{"inputs": [{"x": %s}]}' % text
        for text in ("9" * 30, "9" * 5000, "1e400", "-0.0", "18446744073709551616")
    ]
    with FakeServer() as shadow:
        lines = [json.dumps(LINE | {"body": body}) + "\n" for body in bodies]
        done = replayed(tmp_path, shadow.url, lines, len(lines))
    assert done.returncode == EXIT_CODES[cli_state(done)], done.stderr
    assert done.stderr == ""


def test_readme_tells_every_code():
    section = README.split("\n## Exit codes\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line[:2] == "| "]
    told = {int(code) for row in rows for code in re.findall(r"\d+", row)}
    names = ("USAGE", "FAULT", "INPUT_OUTPUT", "INTERRUPTED", "NOBODY_READS")
    ours = {getattr(exit_codes, name) for name in names}
    assert told == ours | set(cli.CODES.values()) | set(EXIT_CODES.values())
