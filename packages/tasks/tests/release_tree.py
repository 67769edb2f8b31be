"""A repository to release from: a copy of this one, whose checks are cheap."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[3]
TASKS = ROOT / "packages/tasks/src/tasks"
WHEELS = sorted((ROOT / "packages/index/iris_model").glob("*.whl"))
#: The version of the model that others are compared with.
NEWEST = max((wheel.name.split("-")[1] for wheel in WHEELS), key=Version)
# Real environments and the real wheel in them, but one question instead of a thousand.
CHEAP = """\
[testenv:lint]
package = skip
commands = python -c ""

[testenv:model]
package_env = .pkg-model
commands = python -c "import iris_model; print(iris_model.__version__)"
[testenv:.pkg-model]
package_root = {tox_root}/packages/iris_model

[testenv:router]
package_env = .pkg-router
commands = python -c "import shadow_router; print(shadow_router.__version__)"
[testenv:.pkg-router]
package_root = {tox_root}/packages/shadow_router

[testenv:api]
package_env = .pkg-api
set_env = UV_FIND_LINKS = {tox_root}/packages/index/iris_model
deps = -r api/requirements/live.txt
commands = python -c "import iris_api; print(iris_api.__version__)"
[testenv:.pkg-api]
package_root = {tox_root}/api
"""


def copy_tree(target: Path, tox_ini: str | None = CHEAP) -> Path:
    """
    Copy what git tracks here into a repository of its own, with one commit.

    Of what is published it has the models alone, which the API needs: how often router
    and API have been released is no matter of the tests.

    Parameters
    ----------
    target : Path
    tox_ini : str or None
        In the place of the real one; None keeps that.
    """
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(
        listed, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    published = ("packages/index/shadow_router/", "packages/index/iris_api/")
    for name in files:
        if (ROOT / name).is_file() and not name.startswith(published):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    if tox_ini is not None:
        (target / "tox.ini").write_text(tox_ini)
    git(target, "init", "--quiet")
    commit(target, "Begin")
    return target


def git(tree: Path, *arguments: str) -> str:
    """Run git in a tree as somebody and return what it prints."""
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=tree, capture_output=True, text=True, check=True
    ).stdout


def commit(tree: Path, message: str) -> None:
    """Commit everything."""
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", message)


def tell(tree: Path, changelog: str, news: str) -> None:
    """Put news under Unreleased in a CHANGELOG that may have such a section."""
    path = tree / changelog
    text = path.read_text()
    heading = "## [Unreleased]\n"
    if heading not in text:
        text = text.replace("## ", f"{heading}\n## ", 1)
    path.write_text(text.replace(heading, f"{heading}\n{news}\n", 1))


def module_of(task: str) -> str:
    """Return the module that a task is, in whichever room."""
    (path,) = TASKS.rglob(f"{task}.py")
    return ".".join(path.relative_to(TASKS.parent).with_suffix("").parts)


def task(
    tree: Path, script: str, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a task on a tree."""
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH"}}
    return subprocess.run(
        [sys.executable, "-m", module_of(script), *arguments],
        cwd=tree,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **settings},
        capture_output=True,
        text=True,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a task refused: its last line, and nothing like a traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def index_of(tree: Path) -> dict[str, str]:
    """Return the digests of all files of the embedded index."""
    index = tree / "packages/index"
    return {
        str(path.relative_to(index)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(index.rglob("*"))
        if path.is_file()
    }
