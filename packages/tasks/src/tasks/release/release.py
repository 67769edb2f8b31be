"""
Raise a unit's version and date its CHANGELOG: both files or neither.

Commits, tags and publishes nothing: it prints the commands that do.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from tasks.arguments import given
from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.release import changelog, repository
from tasks.wheels.drafts import replace
from tasks.wheels.shelf import Shelf
from tasks.wheels.units import INDEX, Unit, find_unit, source_version, with_version
from tasks.wheels.versions import Version, parse_version

USAGE = "write tox run -e release -- UNIT VERSION"


def main(arguments: list[str]) -> None:
    """Release one unit; raise Refused, and change nothing, if that is wrong."""
    if len(arguments) != 2:
        raise Refused(f"{len(arguments)} arguments instead of two: {USAGE}")
    unit, version = find_unit(arguments[0]), parse_version(arguments[1])
    repository.check_clean()
    check_new(unit, version)
    text = unit.changelog.read_text()
    dated = changelog.with_release(text, version, datetime.now(UTC).date())
    unreleased = changelog.sections(text)[changelog.UNRELEASED]
    changelog.check_level(version, source_version(unit), unreleased)
    write_all({unit.changelog: dated, unit.source: with_version(unit, version)})
    print(f"{unit.source} and {unit.changelog} are at {version}; next:")
    print(f'git commit --all --message "Release {unit.name} {version}"')
    print(f"git tag {unit.name}-v{version}")
    print(f"tox run -e publish -- {unit.name}")


def check_new(unit: Unit, version: Version) -> None:
    """Raise Refused unless a version is higher than all that were released."""
    prefix = f"{unit.name}-v"
    tagged = [parse_version(t.removeprefix(prefix)) for t in repository.tags(prefix)]
    released = {source_version(unit), *tagged, *Shelf(INDEX).versions(unit.name)}
    if version in released:
        raise Refused(f"{unit.name} {version} exists already: choose a higher version")
    if version < max(released):
        raise Refused(f"{unit.name} {version} is not above {max(released)}")


def write_all(texts: dict[Path, str]) -> None:
    """Replace several files: all of them or, if one cannot be written, none."""
    before = {path: path.read_bytes() for path in texts}
    try:
        for path, text in texts.items():
            replace(text.encode(), path)
    except OSError as error:
        for path, content in before.items():
            if path.read_bytes() != content:
                replace(content, path)
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(exit_code("release", lambda: main(given()), RED_GATE))
