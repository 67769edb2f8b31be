"""The rooms of a unit stand on floors: an import that points upward is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from release_tree import ROOT

SOURCES = ("packages/iris_model/src", "packages/shadow_router/src")
SOURCES += ("packages/tasks/src", "api/src")


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Hold a tree to its contracts, as the checks do."""
    path = os.pathsep.join(str(tree / source) for source in SOURCES)
    command = "from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of all sources with their contracts."""
    for source in SOURCES:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, tmp_path / source, ignore=left_out)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "imported", "says"),
    [
        ("shadow_router/values.py", "shadow_router.verdict.gates", "shadow_router"),
        ("shadow_router/http/http1.py", "shadow_router.store", "shadow_router"),
        ("iris_api/schemas.py", "iris_api.predict.inputs", "iris_api"),
        ("tasks/wheels/bundle.py", "tasks.release.publish", "tasks"),
    ],
)
def test_import_is_found_when_it_points_upward(
    tree: Path, module: str, imported: str, says: str
) -> None:
    (place,) = filter(Path.exists, (tree / source / module for source in SOURCES))
    place.write_text(f"{place.read_text()}\nimport {imported}\n")
    done = lint_imports(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"the rooms of {says} stand on floors BROKEN" in done.stdout


@pytest.mark.slow
def test_room_without_a_floor_is_found(tree: Path) -> None:
    (tree / SOURCES[1] / "shadow_router/attic").mkdir()
    (tree / SOURCES[1] / "shadow_router/attic/__init__.py").touch()
    done = lint_imports(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "shadow_router.attic" in done.stdout
