"""A CHANGELOG in the format of Keep a Changelog: reading and dating it; pure."""

from __future__ import annotations

import re
from datetime import date

from tasks.refusal import Refused
from tasks.wheels.versions import Version, least_version

_HEADING = re.compile(r"^## \[?([^\]\s]+)\]?.*$", re.M)
_PART = re.compile(r"^### (\w+)", re.M)
UNRELEASED = "Unreleased"
# What a kind of change asks of the version. Prose under no heading tells nothing.
_LEVELS = {
    "Removed": "major",
    "Added": "minor",
    "Changed": "minor",
    "Deprecated": "minor",
}


def sections(text: str) -> dict[str, str]:
    """Return the body of each version by its heading's name, newest first."""
    found = list(_HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    names = [match.group(1) for match in found]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"the CHANGELOG has {names.count(name)} sections {name}")
    return {
        match.group(1): text[match.end() : end].strip()
        for match, end in zip(found, ends, strict=True)
    }


def newest(text: str) -> str:
    """Return the name of the first section, ``nothing`` when there is none."""
    return next(iter(sections(text)), "nothing")


def change_of(body: str) -> str:
    """Return what a section asks of the version: major, minor or patch."""
    levels = {_LEVELS.get(part, "patch") for part in _PART.findall(body)}
    return next((level for level in ("major", "minor") if level in levels), "patch")


def check_level(version: Version, last: Version, body: str) -> None:
    """Raise Refused if what a section tells needs a higher version than it has."""
    change = change_of(body)
    least = least_version(last, change)
    if version < least:
        raise Refused(
            f"{version} is too low: after {last} the CHANGELOG tells of a {change} "
            f"change, which needs at least {least}"
        )


def with_release(text: str, version: Version, day: date) -> str:
    """
    Return the CHANGELOG with what is unreleased under a version and a day.

    Raises
    ------
    Refused
        If nothing is unreleased, or the version has a section already.
    """
    there = sections(text)
    if not _says_something(there.get(UNRELEASED, "")):
        raise Refused(
            f"the CHANGELOG has nothing under [{UNRELEASED}]: say what changes"
        )
    if str(version) in there:
        raise Refused(f"the CHANGELOG has a section {version} already")
    heading = next(m for m in _HEADING.finditer(text) if m.group(1) == UNRELEASED)
    dated = f"## [{version}] - {day.isoformat()}"
    return text[: heading.start()] + dated + text[heading.end() :]


def _says_something(body: str) -> bool:
    return any(line.strip() and not line.startswith("#") for line in body.splitlines())
