"""
Lock what is deployed, and what publishes it, with hashes: a requirements file each.

``--check`` changes nothing and says which file does not follow its source.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tasks.arguments import given
from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.wheels.units import UNITS

TOOLS = Path("packages/tasks/requirements")


@dataclass(frozen=True, slots=True)
class Lock:
    """
    What is locked, and where.

    Parameters
    ----------
    source : Path
        A pyproject.toml, or a file of requirements.
    target : Path
    extras : tuple of str
        Which optional dependencies are deployed, too.
    constraint : Path
        A lock whose versions this one takes.
    """

    source: Path
    target: Path
    extras: tuple[str, ...] = ()
    constraint: Path | None = None


def _of(name: str, *extras: str, constraint: Path | None = None) -> Lock:
    unit = UNITS[name]
    source = unit.folder / "pyproject.toml"
    return Lock(source, unit.requirements, extras, constraint)


LOCKS = [
    # Which model runs is live.txt's and shadow.txt's to say.
    _of("iris_api"),
    # The API is what serves the model, so its versions count.
    _of("iris_model", constraint=UNITS["iris_api"].requirements),
    # Several routers share one store.
    _of("shadow_router", "postgresql"),
    Lock(TOOLS / "tox.in", TOOLS / "tox.txt"),
    Lock(TOOLS / "publish.in", TOOLS / "publish.txt"),
]
_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))?(?: \\)?$")
_HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})(?: \\)?$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One line of a lock: a version, when it is installed, which files it may be."""

    name: str
    version: str
    marker: str
    sha256: list[str]


def read_lock(text: str) -> list[Locked]:
    """
    Return the entries of a lock.

    Raises
    ------
    Refused
        If a line is not understood, or an entry has no hash.
    """
    found: list[Locked] = []
    for line in text.splitlines():
        if entry := _LINE.match(line):
            found.append(Locked(entry[1], entry[2], entry[3] or "", []))
        elif (hashed := _HASH.match(line)) and found:
            found[-1].sha256.append(hashed[1])
        else:
            raise Refused(f"a lock has the line {line!r}: run tox run -e lock")
    for entry_ in found:
        if not entry_.sha256:
            raise Refused(f"{entry_.name} is locked without a hash")
    return found


def main(arguments: list[str]) -> None:
    """Lock everything, or check that everything is locked."""
    if arguments == ["--check"]:
        stale = [str(lock.target) for lock in LOCKS if is_stale(lock)]
        if stale:
            raise Refused(f"stale: {', '.join(stale)}; run tox run -e lock")
        return
    for lock in LOCKS:
        resolve(lock, lock.target, arguments)


def is_stale(lock: Lock) -> bool:
    """Return whether locking again would change a lock."""
    if not lock.target.exists():
        return True
    with TemporaryDirectory(prefix="lock-") as folder:
        # What is locked stays while it may: uv begins with what is there.
        again = Path(folder) / "requirements.txt"
        shutil.copy(lock.target, again)
        resolve(lock, again, [])
        return again.read_bytes() != lock.target.read_bytes()


def wanted(source: Path, extras: tuple[str, ...] = ()) -> list[str]:
    """
    Return what a source asks for.

    What ours of its requirements need stands in their place, as this tree has it: on
    a registry, a name of ours may be a stranger's, with requirements of a stranger's.
    """
    if source.suffix != ".toml":
        return source.read_text().splitlines()
    project = tomllib.loads(source.read_text())["project"]
    optional = project.get("optional-dependencies", {})
    ours = {canonicalize_name(name): unit for name, unit in UNITS.items()}
    found: list[str] = []
    lines = [*project["dependencies"], *(one for e in extras for one in optional[e])]
    for line in lines:
        requirement = Requirement(line)
        if unit := ours.get(canonicalize_name(requirement.name)):
            needs = tuple(sorted(requirement.extras))
            found += wanted(unit.folder / "pyproject.toml", needs)
        else:
            found.append(line)
    return found


def resolve(lock: Lock, target: Path, options: list[str]) -> None:
    """Write what a source needs into a file, with hashes and without index lines."""
    command = ["uv", "pip", "compile", "-", "--output-file", str(target)]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    if lock.constraint:
        command += ["--constraint", str(lock.constraint)]
    done = subprocess.run(
        [*command, *options],
        input="\n".join(wanted(lock.source, lock.extras)),
        stdout=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode:
        raise Refused(f"{lock.source} cannot be locked: see above")


if __name__ == "__main__":
    sys.exit(exit_code("lock", lambda: main(given()), RED_GATE))
