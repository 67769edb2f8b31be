"""
Place a new version of a package in the index: build once, test those bytes, place.

Refuses, with the reason and exit code 1, whatever must not be published.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.utils import parse_wheel_filename

INDEX = Path("packages/index")
# Package to the tox env that tests it from its wheel.
TESTED_BY = {"iris_model": "model"}


class Refused(Exception):
    """Raised when a wheel must not be published; says why and what to do."""


def main(package: str) -> None:
    """
    Build, test and place one package.

    Parameters
    ----------
    package : str
        A folder of ``packages/`` that is published.

    Raises
    ------
    Refused
        If the version or the wheel must not be published; the index is as before.
    """
    if package not in TESTED_BY:
        known = ", ".join(sorted(TESTED_BY))
        raise Refused(f"{package!r} is not a published package: {known}")
    folder = Path("packages") / package
    check_new(INDEX / package, package, source_version(folder))
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        wheel = build(folder, Path(scratch))
        test(wheel, TESTED_BY[package])
        placed = place(wheel, folder, INDEX)
    print(f"published {placed}\nto pin it: {pin(placed)}")


def source_version(folder: Path) -> str:
    """Return the version that a package's source states."""
    text = (folder / "src" / folder.name / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.M)
    if found is None:
        raise Refused(f"{folder.name} states no __version__")
    return found.group(1)


def build(folder: Path, target: Path) -> Path:
    """Build a wheel in an environment of its own and return its path."""
    command = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(target)]
    subprocess.run([*command, str(folder)], check=True)
    return next(target.glob("*.whl"))


def test(wheel: Path, tox_env: str) -> None:
    """
    Run a package's tests against exactly this wheel, in a fresh environment.

    Writes a receipt beside the wheel: the digest of the bytes that passed.
    """
    before = digest(wheel)
    tox = [sys.executable, "-m", "tox", "run", "-e", tox_env]
    fresh = ["--workdir", str(wheel.parent / "tox"), "--installpkg", str(wheel)]
    # tox hands its own settings down; the inner run must not read the outer's.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOX_")}
    if subprocess.run([*tox, *fresh], env=environment).returncode:
        raise Refused(f"the tests of {wheel.name} failed: nothing was published")
    receipt(wheel).write_text(before)


def place(wheel: Path, folder: Path, index: Path) -> Path:
    """
    Put a tested wheel in the index and return where it lies now.

    Parameters
    ----------
    wheel : Path
        With the receipt of :func:`test` beside it.
    folder : Path
        The package's source, for its CHANGELOG.
    index : Path
        The index; one folder a project.

    Raises
    ------
    Refused
        If the wheel is not the tested one, its version is there already, or its
        version disagrees with the CHANGELOG or its manifest.
    """
    version = str(parse_wheel_filename(wheel.name)[1])
    check_tested(wheel)
    check_changelog(folder / "CHANGELOG.md", version)
    check_manifest(wheel, version)
    check_new(index / folder.name, folder.name, version)
    shelf = index / folder.name
    shelf.mkdir(parents=True, exist_ok=True)
    arriving = shelf / f".{wheel.name}"
    arriving.write_bytes(wheel.read_bytes())
    arriving.chmod(0o644)
    try:
        os.link(arriving, shelf / wheel.name)  # refuses to replace, unlike rename
    finally:
        arriving.unlink()
    return shelf / wheel.name


def check_new(shelf: Path, package: str, version: str) -> None:
    """Raise Refused if the index has this version already."""
    for there in shelf.glob("*.whl"):
        if str(parse_wheel_filename(there.name)[1]) == version:
            reason = f"{package} {version} is published and never changes"
            raise Refused(f"{reason}: raise the version to publish again")


def check_tested(wheel: Path) -> None:
    """Raise Refused unless the tests passed with exactly these bytes."""
    if not receipt(wheel).exists():
        raise Refused(f"{wheel.name} was not tested: run tox run -e publish")
    if receipt(wheel).read_text() != digest(wheel):
        raise Refused(
            f"{wheel.name} is not the wheel that was tested: its bytes differ"
        )


def check_changelog(changelog: Path, version: str) -> None:
    """Raise Refused unless the newest entry of a CHANGELOG is this version."""
    newest = re.search(r"^## \[(.+?)\]", changelog.read_text(), re.M)
    found = newest.group(1) if newest else "nothing"
    if found != version:
        raise Refused(f"{changelog} begins with {found}, the wheel is {version}")


def check_manifest(wheel: Path, version: str) -> None:
    """Raise Refused unless a trained artefact of this version is in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        manifests = [n for n in archive.namelist() if n.endswith("/manifest.json")]
        if len(manifests) != 1:
            raise Refused(f"{wheel.name} holds no trained artefact")
        stated = json.loads(archive.read(manifests[0]))["model_version"]
    if stated != version:
        raise Refused(f"{wheel.name} holds the artefact of version {stated}")


def receipt(wheel: Path) -> Path:
    """Return where the digest of the tested bytes is kept."""
    return wheel.with_suffix(".tested")


def digest(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pin(wheel: Path) -> str:
    """Return the requirements line that installs exactly this wheel."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return f"{name.replace('-', '_')}=={version} --hash=sha256:{digest(wheel)}"


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except Refused as refusal:
        raise SystemExit(f"publish: {refusal}") from None
