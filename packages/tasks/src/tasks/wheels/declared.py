"""Hold a wheel against the pyproject.toml of its unit."""

from __future__ import annotations

import tomllib
from typing import Any

from packaging.requirements import Requirement

from tasks.refusal import Refused
from tasks.wheels.units import Unit, source_version
from tasks.wheels.verifier import Contents


def check_declared(unit: Unit, wheel: Contents) -> None:
    """Raise Refused unless a wheel says what its unit's source says, and no more."""
    version = str(source_version(unit))
    if (wheel.name, wheel.version) != (unit.name, version):
        stated = f"{wheel.name} {wheel.version}"
        raise Refused(f"{stated} is not {unit.name} {version}")
    project = tomllib.loads((unit.folder / "pyproject.toml").read_text())["project"]
    _check_fields(wheel, _fields(project, version))
    if wheel.metadata[1] != (unit.folder / project["readme"]).read_text():
        raise Refused(f"METADATA ends with another text than {project['readme']}")
    declared = _entry_points(project)
    if f"{wheel.dist_info}/entry_points.txt" in wheel.members or declared:
        if wheel.own("entry_points.txt") != declared:
            raise Refused("entry_points.txt is not what pyproject.toml declares")


def _fields(project: dict[str, Any], version: str) -> dict[str, set[object]]:
    extras = project.get("optional-dependencies", {})
    fields: dict[str, set[object]] = {
        "Name": {project["name"]},
        "Version": {version},
        "Summary": {project["description"]},
        "License-Expression": {project["license"]} if "license" in project else set(),
        "Classifier": set(project.get("classifiers", [])),
        "Requires-Python": {project["requires-python"]},
        "Provides-Extra": set(extras),
        "Requires-Dist": set(map(Requirement, project.get("dependencies", []))),
        "Description-Content-Type": {"text/markdown"},
    }
    for extra, requirements in extras.items():
        fields["Requires-Dist"] |= {_under(extra, one) for one in requirements}
    return fields


def _under(extra: str, text: str) -> Requirement:
    """Return a requirement that holds where an extra is asked for."""
    requirement, _, marker = text.partition(";")
    where = f"({marker.strip()}) and " if marker else ""
    return Requirement(f"{requirement}; {where}extra == '{extra}'")


def _check_fields(wheel: Contents, declared: dict[str, set[object]]) -> None:
    found: dict[str, set[object]] = {n: set(v) for n, v in wheel.metadata[0].items()}
    del found["Metadata-Version"]
    requirements = wheel.metadata[0].get("Requires-Dist", [])
    found["Requires-Dist"] = set(map(Requirement, requirements))
    for name in found.keys() | declared.keys():
        ours, theirs = declared.get(name, set()), found.get(name, set())
        if different := ours ^ theirs:
            what = min(map(str, different))
            raise Refused(f"METADATA and pyproject.toml disagree on {name}: {what}")


def _entry_points(project: dict[str, Any]) -> str:
    scripts = sorted(project.get("scripts", {}).items())
    lines = [f"{command} = {target}\n" for command, target in scripts]
    return "".join(["[console_scripts]\n", *lines]) if lines else ""
