"""Building a unit's wheel, and testing exactly those bytes."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

from tasks.refusal import Refused, run
from tasks.release import repository
from tasks.wheels.units import Unit


def build(unit: Unit, folder: Path) -> Path:
    """
    Build a wheel in an environment of its own and return its path.

    Files are dated by the commit, so that a commit gives the same bytes everywhere.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or repository.commit_time()
    command = ["uv", "build", "--quiet", "--wheel", "--python", sys.executable]
    command += ["--out-dir", str(folder), str(unit.folder)]
    failure = f"{unit.name} cannot be built: see above"
    run(command, failure, {"SOURCE_DATE_EPOCH": epoch})
    return next(folder.glob("*.whl"))


def check_style() -> None:
    """Raise Refused unless the tree passes lint: what is red there is not released."""
    failure = "lint is red, see above: nothing was published"
    run([sys.executable, "-m", "tox", "run", "-e", "lint"], failure)


def check_tests(unit: Unit, wheel: Path, scratch: Path, selected: list[str]) -> None:
    """
    Run a unit's tests against exactly this wheel, in a fresh environment.

    Parameters
    ----------
    unit : Unit
    wheel, scratch : Path
        The environment is made in the scratch folder.
    selected : list of str
        Arguments of pytest; all tests when empty.

    Raises
    ------
    Refused
        If a test fails or cannot run.
    """
    command = [sys.executable, "-m", "tox", "run", "-e", unit.tested_by]
    command += ["--workdir", str(scratch / "tox"), "--installpkg", str(wheel)]
    command += ["--", *selected] if selected else []
    # Slow tests are left out elsewhere, never of a release.
    everything = {} if selected else {"CI": "true"}
    run(command, f"the tests of {wheel.name} failed: nothing was published", everything)


def check_model(wheel: Path, published: Path, scratch: Path) -> None:
    """
    Hold the model of a wheel against the newest published one that is not newer.

    The wheel trains once more: that runs the gates of training with this code, and
    must give the bytes that the wheel holds.

    Parameters
    ----------
    wheel : Path
    published : Path
        A folder of published wheels.
    scratch : Path

    Raises
    ------
    Refused
        If the model is worse, its version promises too much, or the bytes differ.
    """
    again = scratch / "again"
    name = wheel.name.partition("-")[0]
    command = ["uv", "run", "--no-project", "--isolated", "--python", sys.executable]
    command += ["--quiet", "--with", f"{name}[train] @ {wheel.resolve().as_uri()}"]
    command += [f"{name.replace('_', '-')}", "train", "--output", str(again)]
    command += ["--published", str(published)]
    run(command, f"the model of {wheel.name} must not be published: see above")
    with zipfile.ZipFile(wheel) as archive:
        for face in again.iterdir():
            if archive.read(f"{name}/trained/{face.name}") != face.read_bytes():
                raise Refused(f"training again gives another {face.name}")
