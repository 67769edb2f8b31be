"""
Lock what is deployed, with hashes: one requirements file for each unit.

``--check`` changes nothing and says which file does not follow its pyproject.toml.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from refusal import Refused
from units import UNITS, Unit

# What each unit is deployed with, beside its own requirements.
OPTIONS = {
    # Which model runs is live.txt's and shadow.txt's to say.
    "iris_api": ["--no-emit-package", "iris-model"],
    # The API is what serves the model, so its versions count.
    "iris_model": ["--constraint", str(UNITS["iris_api"].requirements)],
    # Several routers share one store.
    "shadow_router": ["--extra", "postgresql"],
}
ORDER = ["iris_api", "iris_model", "shadow_router"]
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
        stale = [str(UNITS[n].requirements) for n in ORDER if is_stale(UNITS[n])]
        if stale:
            raise Refused(f"stale: {', '.join(stale)}; run tox run -e lock")
        return
    for name in ORDER:
        resolve(UNITS[name], UNITS[name].requirements, arguments)


def is_stale(unit: Unit) -> bool:
    """Return whether locking again would change a unit's requirements."""
    if not unit.requirements.exists():
        return True
    with TemporaryDirectory(prefix="lock-") as folder:
        # What is locked stays while it may: uv begins with what is there.
        again = Path(folder) / "requirements.txt"
        shutil.copy(unit.requirements, again)
        resolve(unit, again, [])
        return again.read_bytes() != unit.requirements.read_bytes()


def resolve(unit: Unit, target: Path, options: list[str]) -> None:
    """Write what a unit needs into a file, with hashes and without index lines."""
    command = ["uv", "pip", "compile", str(unit.folder / "pyproject.toml")]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    command += [*OPTIONS[unit.name], *options, "--output-file", str(target)]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise Refused(f"{unit.name} cannot be locked: see above")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refusal:
        raise SystemExit(f"lock: {refusal}") from None
