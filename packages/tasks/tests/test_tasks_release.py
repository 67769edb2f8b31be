"""``tox run -e release``: both files or neither, and what it refuses."""

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from release_tree import commit, copy_tree, git, refusal, task, tell

from tasks.refusal import Refused
from tasks.release import changelog
from tasks.wheels.versions import Version, parse_version

INIT = "packages/shadow_router/src/shadow_router/__init__.py"
CHANGELOG = "packages/shadow_router/CHANGELOG.md"
BEFORE = """\
# Changelog

## [Unreleased]

### Fixed

- A fault.

## [1.0.0] - 2026-11-01

- Everything.
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("release") / "tree")


@pytest.fixture
def tree(template: Path, tmp_path: Path) -> Path:
    """Return a repository where shadow_router is 1.0.0 and has a fault fixed."""
    tree = tmp_path / "tree"
    shutil.copytree(template, tree)
    write(tree, CHANGELOG, BEFORE)
    write(tree, INIT, '__version__ = "1.0.0"\n')
    commit(tree, "Fix")
    return tree


def write(tree: Path, name: str, text: str) -> None:
    (tree / name).write_text(text)


def test_release_raises_version_and_dates_changelog_when_all_is_well(
    tree: Path,
) -> None:
    done = task(tree, "release", "shadow_router", "1.0.1")
    assert done.returncode == 0, done.stderr
    today = datetime.now(UTC).date().isoformat()
    assert (tree / INIT).read_text() == '__version__ = "1.0.1"\n'
    expected = BEFORE.replace("[Unreleased]", f"[1.0.1] - {today}")
    assert (tree / CHANGELOG).read_text() == expected
    assert git(tree, "status", "--porcelain").split() == ["M", CHANGELOG, "M", INIT]


def test_release_prints_commands_that_work_when_it_is_done(tree: Path) -> None:
    done = task(tree, "release", "shadow_router", "1.0.1")
    commands = done.stdout.splitlines()[1:]
    assert commands == [
        'git commit --all --message "Release shadow_router 1.0.1"',
        "git tag shadow_router-v1.0.1",
        "tox run -e publish -- shadow_router",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "0 arguments instead of two"),
        (["shadow_router"], "1 arguments instead of two"),
        (["lily", "1.0.1"], "'lily' is not a released unit: iris_model"),
        (["shadow_router", "1.0"], "'1.0' is not a version"),
        (["shadow_router", "v1.0.1"], "'v1.0.1' is not a version"),
        (["shadow_router", "1.0.01"], "'1.0.01' is not a version"),
        (["shadow_router", "1.0.1rc1"], "'1.0.1rc1' is not a version"),
        (["shadow_router", "1.0.0"], "1.0.0 exists already: choose a higher version"),
        (["shadow_router", "0.9.9"], "0.9.9 is not above 1.0.0"),
        (["iris_model", "1.2.1"], "iris_model 1.2.1 exists already"),
    ],
)
def test_release_refuses_and_changes_nothing_when_asked_for_nonsense(
    tree: Path, arguments: list[str], says: str
) -> None:
    assert says in refusal(task(tree, "release", *arguments))
    assert git(tree, "status", "--porcelain") == ""


def test_release_refuses_when_something_is_not_committed(tree: Path) -> None:
    write(tree, "README.md", "changed\n")
    said = refusal(task(tree, "release", "shadow_router", "1.0.1"))
    assert "not committed: README.md; commit or undo it first" in said
    assert '"1.0.0"' in (tree / INIT).read_text()


def test_release_refuses_when_a_tag_is_higher(tree: Path) -> None:
    git(tree, "tag", "shadow_router-v1.4.0")
    said = refusal(task(tree, "release", "shadow_router", "1.1.0"))
    assert "1.1.0 is not above 1.4.0" in said


@pytest.mark.parametrize(
    "unreleased", ["", "## [Unreleased]\n\n", "## [Unreleased]\n\n### Added\n\n"]
)
def test_release_refuses_when_the_changelog_says_nothing(
    tree: Path, unreleased: str
) -> None:
    write(tree, CHANGELOG, f"# Changelog\n\n{unreleased}## [1.0.0] - 2026-11-01\n")
    commit(tree, "Say nothing")
    said = refusal(task(tree, "release", "shadow_router", "1.0.1"))
    assert "nothing under [Unreleased]: say what changes" in said


@pytest.mark.parametrize(
    ("heading", "version", "least"),
    [("Added", "1.0.1", "1.1.0"), ("Removed", "1.1.0", "2.0.0")],
)
def test_release_refuses_when_the_version_is_too_low_for_the_changelog(
    tree: Path, heading: str, version: str, least: str
) -> None:
    tell(tree, CHANGELOG, f"### {heading}\n\n- A thing.\n")
    commit(tree, "Change more")
    said = refusal(task(tree, "release", "shadow_router", version))
    assert f"{version} is too low: after 1.0.0" in said
    assert said.endswith(f"needs at least {least}")
    assert task(tree, "release", "shadow_router", least).returncode == 0


def test_release_changes_neither_file_when_one_cannot_be_written(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.release import release

    theirs = os.replace

    def full(draft: Path, path: Path) -> None:
        if path.name == "__init__.py":
            raise OSError(28, "No space left on device", str(draft))
        theirs(draft, path)

    monkeypatch.chdir(tree)
    monkeypatch.setattr(os, "replace", full)
    says = "__init__.py cannot be written: No space left on device"
    with pytest.raises(Refused, match=says):
        release.main(["shadow_router", "1.0.1"])
    assert git(tree, "status", "--porcelain") == ""


def test_change_before_one_may_break_when_the_version_is_minor() -> None:
    body = "### Removed\n\n- A thing."
    changelog.check_level(Version(0, 2, 0), Version(0, 1, 4), body)
    with pytest.raises(Refused, match=re.escape("at least 0.2.0")):
        changelog.check_level(Version(0, 1, 5), Version(0, 1, 4), body)


def test_changelog_is_refused_when_two_sections_have_one_name() -> None:
    with pytest.raises(Refused, match="2 sections 1.0.0"):
        changelog.sections("## [1.0.0]\n\n## 1.0.0\n")


def test_version_is_refused_when_digits_are_not_ascii() -> None:
    with pytest.raises(Refused, match="is not a version"):
        parse_version("１.0.0")
