"""Ours are installed by hash or path everywhere, and nothing unseen beside secrets."""

import subprocess
import sys
from pathlib import Path

import pytest
from hostile import GOOD, adding
from release_tree import ROOT, copy_tree

from tasks.checks.installs import (
    faults,
    faults_of_requirements,
    faults_of_text,
    faults_of_tox,
    faults_of_workflow,
    own_distributions,
)

OWN = own_distributions(ROOT)
HASH = "--hash=sha256:" + "0" * 64
TOX = """\
[testenv:locked]
package = skip
locked = -r locked.txt
deps =
    --require-hashes
    {[testenv:locked]locked}
[testenv:loose]
package = skip
deps =
    {[testenv:locked]locked}
    twine==7.0.0
[testenv:empty]
package = skip
[testenv:packaged]
deps = {[testenv:locked]deps}
[testenv:built]
package_env = .pkg-hashed
deps = {[testenv:locked]deps}
[testenv:.pkg-hashed]
set_env =
    UV_CONSTRAINT = locked.txt
"""
JOB = """\
jobs:
  publish:
    permissions: {PERMISSIONS}
    steps:
      - run: COMMAND
"""


def test_this_repository_installs_what_was_tested() -> None:
    assert list(faults(ROOT)) == []
    assert {one.name for one in OWN} >= {"iris-api", "iris-model", "shadow-router"}
    assert {one.name: one.needs for one in OWN}["iris-api"] == {"iris-model"}


@pytest.mark.parametrize(
    "text",
    [
        "pip install iris_model",
        "pip install --find-links packages/index/iris_model iris_model==1.0.0",
        "python -m pip install 'iris_model[train]==1.2.1'",
        'RUN ["/pip/bin/python", "-m", "pip", "install", "shadow-router"]',
        "RUN pip install --no-cache-dir \\\n    numpy \\\n    Iris.Model",
        "`pip install iris-api` installs it",
        "pip download --no-deps iris_api",
        "pip wheel iris_api",
        "pipx install shadow_router",
        "uvx shadow-router",
        "uv run --with iris_model python",
        "uv tool install shadow_router",
        "uv add iris_model",
        "uv pip install --python x iris_model>=1",
        'install(python, f"iris_model[train]=={version}")',
        'subprocess.run(["uv", "pip", "install", "iris_model"])',
        "      additional_dependencies: [numpy, iris_model]",
        "pip install ./api",
        "uv pip install -e api[otel]",
    ],
)
def test_command_is_refused_when_it_installs_ours_by_name(text: str) -> None:
    assert [fault for fault in faults_of_text(text, OWN) if "without a hash" in fault]


@pytest.mark.parametrize(
    "text",
    [
        "pip install packages/index/iris_model/iris_model-1.0.0-py3-none-any.whl",
        f"pip install iris_model==1.0.0 {HASH}",
        "pip install --require-hashes -r api/requirements/live.txt",
        "uv pip install -r api/requirements/live.txt ./api",
        "uv pip install --no-deps ./api",
        "pip install ./packages/shadow_router[postgresql]",
        "tox run -e publish -- iris_model",
        "install the extra `train` of iris_model",
        "uv pip install --reinstall numpy",
    ],
)
def test_command_is_accepted_when_it_says_what_is_installed(text: str) -> None:
    assert list(faults_of_text(text, OWN)) == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("iris_model", True),
        ("iris_model[train]==1.2.1  # the newest", True),
        ("Iris-Model == 1.2.1 ; python_version > '3'", True),
        (f"iris_model==1.2.1 \\\n    {HASH}", False),
        (f"iris_model[train]==1.2.1 {HASH}", False),
        ("numpy==2.4.6", False),
        ("-r base.txt", False),
    ],
)
def test_requirement_is_refused_when_ours_has_no_hash(text: str, bad: bool) -> None:
    assert bool(list(faults_of_requirements(text, OWN))) is bad


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("deps = iris_model[train]==1.2.1", True),
        ("deps = {[other]named}", True),
        ("deps = -e api", True),
        ("deps =\n    -e api[otel]\n    pytest", True),
        ("package_env = .pkg-api", True),
        ("deps =\n    -e api\n    -r api/requirements/live.txt", False),
        ("deps =\n    -e api\n    -e packages/iris_model[train]", False),
        ("package_env = .pkg-api\ndeps = {[other]pinned}", False),
        ("deps = -e packages/shadow_router", False),
    ],
)
def test_environment_is_refused_when_it_installs_ours_by_name(
    text: str, bad: bool
) -> None:
    others = "[testenv:.pkg-api]\npackage_root = {tox_root}/api\n"
    others += "[other]\nnamed =\n    pytest\n    iris_model\n"
    others += "pinned = -r api/requirements/shadow.txt\n"
    found = list(faults_of_tox(f"{others}[testenv:x]\n{text}\n", OWN))
    assert bool(found) is bad
    assert all(fault.startswith("[testenv:x]: ") for fault in found)


HASHED_TOX = "python -m pip install --require-hashes -r tox.txt"


@pytest.mark.parametrize(
    ("permissions", "command", "bad"),
    [
        ("id-token: write", "python -m pip install tox==4.67.15", True),
        ("contents: write", "uv tool install tox", True),
        ("id-token: write", "tox run -e loose", True),
        ("id-token: write", "tox run -e packaged", True),
        ("contents: read", "pip install x ${{ secrets.TOKEN }}", True),
        ("id-token: write", HASHED_TOX, False),
        ("id-token: write", "tox run -e locked -- x", False),
        ("id-token: write", "tox run -e built", False),
        ("id-token: write", "tox run -e empty", False),
        ("contents: read", "python -m pip install tox==4.67.15", False),
    ],
)
def test_job_with_credentials_is_refused_when_it_installs_without_hashes(
    permissions: str, command: str, bad: bool
) -> None:
    job = JOB.replace("PERMISSIONS", permissions).replace("COMMAND", command)
    assert bool(list(faults_of_workflow(job, TOX))) is bad


def test_job_is_refused_when_nobody_says_what_it_may() -> None:
    job = JOB.replace("    permissions: {PERMISSIONS}\n", "")
    assert list(faults_of_workflow(job.replace("COMMAND", "pip install tox"), TOX))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("docs/releasing.md", "pip install iris_model"),
        ("docker/api.Dockerfile", "RUN pip install iris_model==1.0.0"),
        ("deploy/host/site.yml", "# pip download iris_model"),
        ("packages/tasks/requirements/publish.in", "shadow_router"),
        ("packages/tasks/src/tasks/measure/blame.py", "X = 'iris_model[train]==1.0.0'"),
        (".ci/run", "pip install iris_api"),
    ],
)
def test_any_file_is_looked_at(file: str, line: str, tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree", tox_ini=None)
    with (tree / file).open("a") as text:
        text.write(f"{line}\n")
    (found,) = faults(tree)
    assert found.startswith(f"{file}: ")


@pytest.mark.slow
def test_wheel_with_a_build_tag_wins_unless_a_hash_is_given(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs/iris_model-1.2.1-999-py3-none-any.whl"
    theirs.parent.mkdir()
    theirs.write_bytes(adding("iris_model/theirs.py"))
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--find-links", str(GOOD.parent)]
    command += ["--find-links", str(theirs.parent), "--target"]
    named = tmp_path / "named"
    subprocess.run([*command, str(named), "iris_model==1.2.1"], check=True)
    assert (named / "iris_model/theirs.py").exists()
    pinned, file = tmp_path / "pinned", tmp_path / "file"
    locked = ROOT / "packages/tasks/requirements/mutants.txt"
    done = subprocess.run(
        [*command, str(pinned), "-r", str(locked)], stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1 and "DO NOT MATCH THE HASHES" in done.stderr
    assert not pinned.exists()
    subprocess.run([*command, str(file), str(GOOD)], check=True)
    assert not (file / "iris_model/theirs.py").exists()
