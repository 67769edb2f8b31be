"""Releases that must turn red, with real lint, model and wheels; ten that do not."""

import re
import subprocess
from pathlib import Path

import pytest
from registries import KNOWN, TOKEN, real_registry
from release_tree import (
    CHEAP,
    NEWEST,
    commit,
    copy_tree,
    git,
    index_of,
    refusal,
    task,
    tell,
)

ROUTER = "packages/shadow_router"
MODEL = "packages/iris_model"
SPOIL = """\
import pathlib, sys
for wheel in pathlib.Path(sys.argv[1]).parent.glob("built/*.whl"):
    wheel.write_bytes(wheel.read_bytes() + b"!")
"""


def released(tree: Path, unit: str, folder: str, version: str, news: str) -> None:
    """Release a unit in a tree: tell, release, commit and tag."""
    tell(tree, f"{folder}/CHANGELOG.md", news)
    commit(tree, "Change")
    done = task(tree, "release", unit, version)
    assert done.returncode == 0, done.stderr
    commit(tree, f"Release {unit} {version}")
    git(tree, "tag", f"{unit}-v{version}")


@pytest.mark.slow
def test_release_is_red_when_a_formatter_would_change_a_file(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree", tox_ini=None)
    source = tree / f"{ROUTER}/src/shadow_router/errors.py"
    # Nothing but black minds.
    source.write_text(source.read_text() + "\n\nX = {'a': 1}\n")
    released(tree, "shadow_router", ROUTER, "7.0.0", "### Removed\n\n- All.\n")
    before = index_of(tree)
    done = task(tree, "publish", "shadow_router-v7.0.0")
    assert refusal(done) == "publish: lint is red, see above: nothing was published"
    assert f"would reformat {source}" in done.stderr
    assert index_of(tree) == before


@pytest.mark.slow
def test_release_is_red_when_the_model_is_worse_than_the_published_one(
    tmp_path: Path,
) -> None:
    tree = copy_tree(tmp_path / "tree")
    config = tree / f"{MODEL}/src/iris_model/config.yml"
    text = re.sub(
        r"classifier:\n  name: .*\n",
        "classifier:\n  name: LogisticRegression\n  options:\n    C: 0.01\n",
        config.read_text(),
    )
    # Floors out of the way: this is about the comparison with what is published.
    text = re.sub(r"minimum_(\w+): .*", r"minimum_\1: 0.0", text)
    config.write_text(re.sub(r"maximum_log_loss: .*", "maximum_log_loss: 9.0", text))
    released(tree, "iris_model", MODEL, "7.0.0", "Another classifier.\n")
    before = index_of(tree)
    done = task(tree, "publish", "iris_model-v7.0.0")
    assert "must not be published: see above" in refusal(done)
    assert f"above that of the published {NEWEST} on the same folds" in done.stderr
    assert index_of(tree) == before


@pytest.mark.slow
def test_release_is_red_when_the_tests_fail(tmp_path: Path) -> None:
    failing = CHEAP.replace("import shadow_router;", "import shadow_router; exit(1);")
    tree = copy_tree(tmp_path / "tree", tox_ini=failing)
    released(tree, "shadow_router", ROUTER, "7.0.0", "### Removed\n\n- All.\n")
    before = index_of(tree)
    said = refusal(task(tree, "publish", "shadow_router"))
    assert said.endswith(
        "the tests of shadow_router-7.0.0-py3-none-any.whl failed: "
        "nothing was published"
    )
    assert index_of(tree) == before


@pytest.mark.slow
def test_release_is_red_when_the_wheel_changes_while_it_is_tested(
    tmp_path: Path,
) -> None:
    asked = 'python -c "import shadow_router; print(shadow_router.__version__)"'
    spoiling = CHEAP.replace(asked, "python {tox_root}/spoil.py {work_dir}")
    assert spoiling != CHEAP
    tree = copy_tree(tmp_path / "tree", tox_ini=spoiling)
    (tree / "spoil.py").write_text(SPOIL)
    released(tree, "shadow_router", ROUTER, "7.0.0", "### Removed\n\n- All.\n")
    before = index_of(tree)
    said = refusal(task(tree, "publish", "shadow_router"))
    assert said.endswith("is not the wheel that was tested: bytes differ")
    assert index_of(tree) == before


@pytest.mark.slow
def test_ten_releases_leave_ten_immutable_versions_and_a_changelog(
    tmp_path: Path,
) -> None:
    tree = copy_tree(tmp_path / "tree")
    changelog = tree / f"{ROUTER}/CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## [0.1.0] - 2026-11-23\n\n- Everything.\n")
    placed: dict[str, str] = {}
    versions = [f"1.{minor}.0" for minor in range(10)]
    for version in versions:
        released(tree, "shadow_router", ROUTER, version, f"### Added\n\n- {version}!\n")
        done = task(tree, "publish", f"shadow_router-v{version}")
        assert done.returncode == 0, done.stdout + done.stderr
        after = index_of(tree)
        assert {name: after[name] for name in placed} == placed
        placed = {n: d for n, d in after.items() if n.startswith("shadow_router/")}
        commit(tree, f"Publish {version}")
    wheels = [n for n in placed if n.endswith(".whl")]
    assert len(set(placed.values())) == 20
    assert sorted(wheels) == [
        f"shadow_router/shadow_router-{version}-py3-none-any.whl"
        for version in versions
    ]
    found = re.findall(
        r"^## \[(.+)\] - \d{4}-\d\d-\d\d\n\n### Added\n\n- (.+)!\n",
        changelog.read_text(),
        re.M,
    )
    assert found == [(version, version) for version in reversed(versions)]
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "folder", "version"),
    [("iris_model", MODEL, "7.0.0"), ("iris_api", "api", "7.0.0")],
)
def test_release_can_be_installed_from_a_registry_when_it_is_green(
    tmp_path: Path, unit: str, folder: str, version: str
) -> None:
    tree = copy_tree(tmp_path / "tree")
    released(tree, unit, folder, version, "A word in the documentation.\n")
    with real_registry(tmp_path / "registry") as url:
        done = task(tree, "publish", f"{unit}-v{version}", "--to", url, **KNOWN)
        assert done.returncode == 0, done.stdout + done.stderr
        pin = done.stdout.splitlines()[-1].removeprefix("to pin it: ")
        (tmp_path / "pin.txt").write_text(pin)
        index = url.replace("//", f"//__token__:{TOKEN}@") + "simple/"
        command = ["uv", "pip", "install", "--no-deps", "--require-hashes"]
        command += ["--target", str(tmp_path / "there"), "--default-index", index]
        subprocess.run([*command, "-r", str(tmp_path / "pin.txt")], check=True)
    there = next((tmp_path / "there").glob("*.dist-info"))
    assert there.name == f"{unit}-{version}.dist-info"


@pytest.mark.slow
def test_rehearsal_is_red_when_a_step_fails(tmp_path: Path) -> None:
    failing = CHEAP.replace('python -c ""', 'python -c "exit(1)"')
    tree = copy_tree(tmp_path / "tree", tox_ini=failing)
    done = task(tree, "rehearse")
    assert refusal(done) == (
        "rehearse: python failed, see above: "
        "publish: lint is red, see above: nothing was published"
    )
    steps = [line.split()[0] for line in done.stdout.splitlines()]
    assert steps == ["clone", "release"]
