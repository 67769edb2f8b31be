"""A clone has the bytes of the repository, however git is set up to treat lines."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def git(folder: Path, *arguments: str, given: str = "") -> str:
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    "settings",
    [["core.autocrlf=true"], ["core.autocrlf=false", "core.eol=crlf"]],
    ids=["autocrlf", "crlf"],
)
def test_clone_has_the_bytes_of_the_repository_when_git_changes_line_ends(
    tmp_path: Path, settings: list[str]
) -> None:
    options = [word for one in settings for word in ("--config", one)]
    clone = tmp_path / "clone"
    git(ROOT, "clone", "--quiet", *options, str(ROOT), str(clone))
    entries = [line.split() for line in git(clone, "ls-tree", "-r", "HEAD").split("\n")]
    kept = {path: blob for mode, _, blob, path in filter(None, entries)}
    paths = list(kept)
    hashed = ["hash-object", "--no-filters", "--stdin-paths"]
    found = git(clone, *hashed, given="\n".join(paths)).split()
    assert [p for p, blob in zip(paths, found, strict=True) if kept[p] != blob] == []


def test_files_that_are_no_text_are_said_to_be_none() -> None:
    # `i/-text` is what git takes for binary; nobody should have to guess.
    listed = git(ROOT, "ls-files", "--eol").splitlines()
    guessed = [line for line in listed if line.startswith("i/-text")]
    assert [line for line in guessed if "attr/-text" not in line] == []


def test_checks_count_their_workers_when_the_system_keeps_no_process_to_some_cores(
    tmp_path: Path,
) -> None:
    taken = "import os\ndel os.sched_getaffinity\n"
    (tmp_path / "sitecustomize.py").write_text(taken)
    code = "import conftest; print(conftest.pytest_xdist_auto_num_workers())"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) >= 1, done.stderr


def test_no_environment_runs_where_no_unit_does() -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    assert settings["testenv"]["platform"] == "linux|darwin"
    assert "WSL 2" in (ROOT / "README.md").read_text()
