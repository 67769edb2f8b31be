"""release.yml, step by step in clean clones, with a real registry and a made-up tag."""

import os
import re
from pathlib import Path

import pytest
from registries import KNOWN, real_registry
from release_tree import CHEAP, copy_tree, git
from test_tasks_red_releases import released
from workflow_steps import ROOT, Runner

pytestmark = pytest.mark.slow
ROUTER = "packages/shadow_router"
TAG = "shadow_router-v7.0.0"


def publishing() -> str:
    """Return the real environment `publish`, beside checks that are cheap."""
    text = (ROOT / "tox.ini").read_text()
    real = r"^\[testenv:(?:publish|\.pkg-tasks)\]\n.*?(?=^\[)"
    sections = re.findall(real, text, re.M | re.S)
    assert len(sections) == 2
    return f"[testenv]\nset_env =\npass_env = CI\n\n{CHEAP}\n{''.join(sections)}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which somebody has released and tagged the router."""
    folder = tmp_path_factory.mktemp("released") / "tree"
    tree = copy_tree(folder, tox_ini=publishing())
    released(tree, "shadow_router", ROUTER, "7.0.0", "### Removed\n\n- All.\n")
    return tree


def wheels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.whl")}


def test_release_puts_the_tested_bytes_into_the_registry_and_nothing_twice(
    tree: Path, tmp_path: Path
) -> None:
    with real_registry(tmp_path / "registry") as url:
        runner = Runner(tree, tmp_path / "ci", GITHUB_REF_NAME=TAG)
        (tmp_path / "ci").mkdir()
        assert runner.run("release", "build", {}) == 0, runner.said
        # The first job has no credentials and has sent nothing.
        assert wheels(tmp_path / "registry") == {}
        tested = wheels(tmp_path / "ci/handed on")
        assert list(tested) == ["shadow_router-7.0.0-py3-none-any.whl"]
        runner.environment |= KNOWN
        variables = {"vars.REGISTRY": url}
        assert runner.run("release", "publish", variables) == 0, runner.said
        assert wheels(tmp_path / "registry") == tested
        os.rename(tmp_path / "ci/publish", tmp_path / "ci/first")
        assert runner.run("release", "publish", variables) != 0
        assert wheels(tmp_path / "registry") == tested


def test_release_is_red_and_sends_nothing_when_the_bytes_are_not_the_tested_ones(
    tree: Path, tmp_path: Path
) -> None:
    with real_registry(tmp_path / "registry") as url:
        runner = Runner(tree, tmp_path / "ci", GITHUB_REF_NAME=TAG, **KNOWN)
        (tmp_path / "ci").mkdir()
        assert runner.run("release", "build", {}) == 0, runner.said
        (wheel,) = (tmp_path / "ci/handed on").glob("*.whl")
        wheel.write_bytes(wheel.read_bytes() + b"!")
        assert runner.run("release", "publish", {"vars.REGISTRY": url}) != 0
        assert wheels(tmp_path / "registry") == {}


def test_release_is_red_and_places_nothing_when_no_registry_is_named(
    tree: Path, tmp_path: Path
) -> None:
    runner = Runner(tree, tmp_path, GITHUB_REF_NAME=TAG, **KNOWN)
    assert runner.run("release", "build", {}) == 0, runner.said
    assert runner.run("release", "publish", {"vars.REGISTRY": ""}) != 0
    assert "publish: the value of --to is empty: is a variable not set?" in runner.said
    assert wheels(tmp_path / "publish/packages/index/shadow_router") == {}


def test_release_is_red_when_the_tag_is_not_the_version(
    tree: Path, tmp_path: Path
) -> None:
    git(tree, "tag", "--force", "shadow_router-v7.0.1")
    runner = Runner(tree, tmp_path, GITHUB_REF_NAME="shadow_router-v7.0.1")
    try:
        assert runner.run("release", "build", {}) != 0
        assert not (tmp_path / "handed on").exists()
    finally:
        git(tree, "tag", "--delete", "shadow_router-v7.0.1")
