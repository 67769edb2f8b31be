"""An empty argument, such as a workflow gives whose variable is not set, is refused."""

import subprocess
import sys

import pytest
from release_tree import ROOT, TASKS, module_of

from tasks.arguments import given

# Started by other tasks alone, never by people or workflows.
INNER = {"mutant.py", "traffic.py"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", ""], "publish: the value of --to is empty: is a variable not set?"),
        (["--to="], "publish: the value of --to is empty: is a variable not set?"),
        (["x", "--to", " \t"], "publish: the value of --to is empty"),
        (["x", "--from", "y", "--to", "\n"], "publish: the value of --to is empty"),
        ([""], "publish: an argument is empty: is a variable not set?"),
        (["staging", "use", "live", ""], "publish: an argument is empty"),
    ],
)
def test_empty_argument_ends_with_one_line(
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["publish.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        given()
    said = capsys.readouterr()
    assert ended.value.code == 64
    assert said.err.startswith(says) and said.err.count("\n") == 1 and not said.out


@pytest.mark.parametrize("arguments", [[], ["x"], ["--to", "https://x"], ["--a=b="]])
def test_arguments_are_returned_as_they_are(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["publish.py", *arguments])
    assert given() == arguments


def test_every_task_reads_its_arguments_so() -> None:
    readers = {path.name for path in TASKS.rglob("*.py") if "argv" in path.read_text()}
    assert readers - INNER == {"arguments.py"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["publish", "shadow_router", "--to", ""],
        ["publish", "shadow_router", "--from", ""],
        ["publish", "shadow_router", "--build-only", ""],
        ["publish", ""],
        ["release", "shadow_router", ""],
        ["deploy", "staging", "use", "live", ""],
        ["deploy", "", "plan"],
        ["deploy", "staging", "promote", "--report", ""],
        ["deploy", "staging", "destroy", "--confirm", ""],
        ["images", "--base", ""],
        ["replay", "--live", ""],
        ["blame", "--data", ""],
        ["services", "serve", "--records", ""],
        ["lock", "--upgrade-package", ""],
        ["audit", "--osv-url", ""],
        ["detection", ""],
        ["conditions", ""],
    ],
    ids=" ".join,
)
def test_task_refuses_an_empty_argument(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module_of(command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 64
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{command[0]}: ")
