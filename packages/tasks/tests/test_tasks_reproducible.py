"""Two clean builds of a commit give the same wheel, whoever builds it where."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from release_tree import ROOT, copy_tree

from tasks.release import changelog
from tasks.system.images import pin_of, pinned
from tasks.wheels.bundle import digest
from tasks.wheels.shelf import Shelf
from tasks.wheels.units import INDEX, UNITS, source_version

# All that may differ between a laptop and a build machine.
HERE = {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1", "LC_ALL": "C"}
THERE = {"TZ": "America/Noronha", "PYTHONHASHSEED": "77", "LC_ALL": "C.UTF-8"}
CODE = (
    "import os, sys; from pathlib import Path;"
    "from tasks.release import building; from tasks.wheels import units;"
    "os.umask(int(sys.argv[3], 8));"
    "print(building.build(units.UNITS[sys.argv[1]], Path(sys.argv[2])))"
)


def built(tree: Path, unit: str, umask: str, settings: dict[str, str]) -> Path:
    """Build a unit of a tree as a process of its own does."""
    kept = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-c", CODE, unit, str(tree.parent / "out"), umask]
    done = subprocess.run(
        command,
        cwd=tree,
        env={**kept, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_wheel_is_the_same_when_built_twice(tmp_path: Path, unit: str) -> None:
    here = copy_tree(tmp_path / "here/tree")
    there = tmp_path / "there/in/quite/another/place/tree"
    shutil.copytree(here, there)
    for path in there.rglob("*"):
        if path.is_file() and ".git/" not in path.as_posix():
            path.chmod(0o600)
            os.utime(path, (1_000_000_000, 1_000_000_000))
    first = built(here, unit, "022", HERE)
    second = built(there, unit, "077", THERE)
    assert first != second
    assert digest(first) == digest(second)


def code_of(wheel: Path) -> dict[str, bytes]:
    """Return what a wheel installs, but for what it says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris_api", "shadow_router"])
def test_tree_is_what_is_pinned_when_nothing_is_unreleased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    pin, unit = pinned(name), UNITS[name]
    if changelog.newest(unit.changelog.read_text()) == changelog.UNRELEASED:
        return
    published = Shelf(INDEX).wheels(name)[source_version(unit)]
    assert pin == pin_of(published)
    here = built(copy_tree(tmp_path / "tree"), name, "022", HERE)
    assert code_of(here) == code_of(published)
