"""The units that are released: their names, and where their parts lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tasks.refusal import Refused
from tasks.wheels.versions import Version, parse_version

INDEX = Path("packages/index")


@dataclass(frozen=True, slots=True)
class Unit:
    """
    One releasable unit.

    Parameters
    ----------
    name : str
        Of distribution, import package and tag.
    folder : Path
        With pyproject.toml, CHANGELOG.md and src/.
    tested_by : str
        The tox environment that tests it from its wheel.
    requirements : Path
        What it runs on, locked with hashes.
    trained : bool
        Whether its wheel holds a trained artefact.
    """

    name: str
    folder: Path
    tested_by: str
    requirements: Path
    trained: bool = False

    @property
    def source(self) -> Path:
        """The file that states the version."""
        return self.folder / "src" / self.name / "__init__.py"

    @property
    def changelog(self) -> Path:
        """What changed, for those who use the unit."""
        return self.folder / "CHANGELOG.md"


UNITS = {
    unit.name: unit
    for unit in (
        Unit(
            "iris_model",
            Path("packages/iris_model"),
            "model",
            Path("packages/iris_model/requirements.txt"),
            trained=True,
        ),
        Unit(
            "shadow_router",
            Path("packages/shadow_router"),
            "router",
            Path("packages/shadow_router/requirements.txt"),
        ),
        Unit("iris_api", Path("api"), "api", Path("api/requirements/base.txt")),
    )
}
_STATED = re.compile(r'^__version__ = "(.+)"$', re.M)


def find_unit(name: str) -> Unit:
    """Return a unit by its name; raise Refused if there is none."""
    if name not in UNITS:
        raise Refused(f"{name!r} is not a released unit: {', '.join(UNITS)}")
    return UNITS[name]


def source_version(unit: Unit) -> Version:
    """Return the version that a unit's source states."""
    found = _STATED.findall(unit.source.read_text())
    if len(found) != 1:
        raise Refused(f"{unit.source} states {len(found)} times __version__, not once")
    return parse_version(found[0])


def with_version(unit: Unit, version: Version) -> str:
    """Return the text of a unit's source with another version."""
    return _STATED.sub(f'__version__ = "{version}"', unit.source.read_text())
