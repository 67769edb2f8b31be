"""Every command ends with a code that says what happened, and with one line at most."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from records_made import make_records, rows_of_table

from iris_model import IrisModel, cli, exit_codes

README = (Path(__file__).parents[1] / "README.md").read_text()
RECORDS, ROWS = "records.jsonl", "rows.csv"
COMMANDS = {
    "card": ["card"],
    "drift": ["drift", RECORDS, "--json"],
    "predict": ["predict", "rows.json"],
    "records": ["records", RECORDS],
    "score": ["score", ROWS, "scored.csv"],
    "train": ["train", "--output", "out"],
}
# The others print something; what `score` has to say it says on stderr.
SILENT = {"score"}
EVERY = pytest.mark.parametrize("command", sorted(COMMANDS))
# All that a command opens goes through here, its artefact or its configuration.
PLANTED = """
import pathlib, sys
def planted(self):
    raise KeyError('secret')
pathlib.Path.read_bytes = planted
from iris_model.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path, model: IrisModel) -> Path:
    """Return a folder with what the commands read."""
    rows = rows_of_table(1000, 1)
    lines = [json.dumps(rows[:2]), "\n".join(make_records(model, rows))]
    for name, text in zip(["rows.json", RECORDS], lines, strict=True):
        (tmp_path / name).write_text(text)
    names = list(rows[0])
    cells = [",".join(str(row[name]) for name in names) for row in rows[:2]]
    (tmp_path / ROWS).write_text("\n".join([",".join(names), *cells]))
    return tmp_path


def run(
    folder: Path, *arguments: str, stdout: object = subprocess.PIPE, **settings: object
) -> subprocess.CompletedProcess[str]:
    program = settings.pop("program", ["-m", "iris_model"])
    if "input" not in settings:
        settings["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        **settings,
    )


def lines_of_error(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("iris-model:")]


def test_commands_here_are_all_there_are() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "iris_model", "--help"], capture_output=True, text=True
    ).stdout
    assert set(re.findall(r"^    (\w+) ", said, re.M)) == COMMANDS.keys()


@pytest.mark.slow(after=1)
@EVERY
def test_full_output_is_said_in_one_line(folder: Path, command: str) -> None:
    # As it comes from a shell: what is printed goes out at the end.
    env = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        done = run(folder, *COMMANDS[command], stdout=full, env=env)
    if command in SILENT:
        assert (done.returncode, lines_of_error(done)) == (0, [])
        return
    assert done.returncode == 74
    (line,) = lines_of_error(done)
    assert line.endswith("No space left on device")


def close(number: int) -> Callable[[], None]:
    return lambda: os.close(number)


@pytest.mark.slow(after=1)
@EVERY
def test_closed_output_is_said_in_one_line(folder: Path, command: str) -> None:
    done = run(folder, *COMMANDS[command], preexec_fn=close(1))
    assert done.returncode == 74
    assert done.stderr == "iris-model: standard output is closed\n"


@pytest.mark.slow(after=1)
@EVERY
def test_command_ends_quietly_when_nobody_reads(folder: Path, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(folder, *COMMANDS[command], stdout=writing)
    os.close(writing)
    assert done.returncode == (0 if command in SILENT else 141)
    assert lines_of_error(done) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2])
def test_answer_is_the_same_when_another_stream_is_closed(
    folder: Path, number: int
) -> None:
    expected = run(folder, *COMMANDS["predict"]).stdout
    done = run(folder, *COMMANDS["predict"], preexec_fn=close(number))
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.slow(after=1)
@EVERY
def test_fault_has_a_code_of_its_own_and_one_line(folder: Path, command: str) -> None:
    program = ["-c", PLANTED]
    done = run(folder, *COMMANDS[command], program=program)
    assert done.returncode == 70
    says = r"iris-model: a fault of ours: KeyError in <string>, line 4; PYTHONDEV.*\n"
    assert re.fullmatch(says, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            KeyError("secret"),
            70,
            r"x: a fault of ours: KeyError in \S+, line \d+; .*\n",
        ),
        (MemoryError(), 70, "x: a fault of ours: MemoryError .*\n"),
        (OverflowError("secret"), 70, "x: a fault of ours: OverflowError .*\n"),
        (RecursionError(), 70, "x: a fault of ours: RecursionError .*\n"),
        (ExceptionGroup("secret", [KeyError()]), 70, "x: a fault of ours: Exc.*\n"),
        (OSError(28, "No space\nleft", "a.txt"), 74, "x: a.txt: No space left\n"),
        (OSError(28, "No space left"), 74, "x: No space left\n"),
        (TimeoutError(), 74, "x: TimeoutError\n"),
        (ZeroDivisionError("why\nnot"), 5, "x: why not\n"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(), 0, ""),
        (SystemExit(2), 64, ""),
        (SystemExit(143), 143, ""),
        # What a library raises is no finding of ours.
        (SystemExit(1), 70, "x: a fault of ours: SystemExit .*\n"),
        (SystemExit("secret"), 70, "x: a fault of ours: SystemExit .*\n"),
    ],
    ids=repr,
)
def test_every_way_to_end_has_its_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def command() -> int:
        raise error

    assert exit_codes.exit_code("x", command, {ZeroDivisionError: 5}) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(says, printed.err), printed.err


def test_fault_shows_where_it_is_when_asked(folder: Path) -> None:
    program = ["-X", "dev", "-c", PLANTED]
    done = run(folder, "card", program=program)
    assert done.returncode == 70
    assert "Traceback" in done.stderr and "in planted" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "--output", "/dev/null/out"], 74),
        (["train", "--output", "out", "--report", "/dev/null/report.html"], 74),
        (["train", "--output", "out", "--report", "."], 74),
        (["predict", "."], 78),
        (["records", RECORDS, "--until", "9999-12-31T23:59-23:00"], 78),
        (["drift", RECORDS, "--until", "9999-12-31T23:59-23:00"], 3),
        (["drift"], 64),
        (["drift", RECORDS, "--alarm"], 64),
        (["score", ROWS], 64),
        (["fly"], 64),
        ([], 64),
    ],
    ids=str,
)
def test_error_is_no_finding(folder: Path, arguments: list[str], code: int) -> None:
    done = run(folder, *arguments)
    assert done.returncode == code
    if code != 64:
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_huge_numbers_are_refused_in_one_line(tmp_path: Path) -> None:
    for text in ("9" * 400, "9" * 5000, "1e999", "-" + "9" * 20):
        row = f'[{{"sepal_length_cm": {text}}}]'
        done = run(tmp_path, "predict", input=row)
        assert done.returncode == 78
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_readme_tells_every_code() -> None:
    section = README.split("\n## Exit codes\n")[1].split("\n## ")[0]
    told = {
        int(code)
        for code in re.findall(
            r"\b\d+\b",
            " ".join(
                line.split("|")[1]
                for line in section.splitlines()
                if line.startswith("| ")
            ),
        )
    }
    ours = {
        getattr(exit_codes, name)
        for name in ("USAGE", "FAULT", "INPUT_OUTPUT", "INTERRUPTED", "NOBODY_READS")
    }
    assert told == ours | set(cli.CODES.values()) | {0, 2, 3, 143}
