"""
Publish a new version of a unit: build once, test those bytes, hand those bytes over.

Refuses, with the reason and exit code 1, whatever must not be published.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.arguments import given
from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.release import changelog, repository
from tasks.release.building import build, check_model, check_style, check_tests
from tasks.release.registry import Registry
from tasks.release.sbom import write_sbom
from tasks.wheels.bundle import Bundle, digest, read_bundle, write_bundle
from tasks.wheels.declared import check_declared
from tasks.wheels.shelf import Shelf
from tasks.wheels.units import INDEX, Unit, find_unit, source_version
from tasks.wheels.verifier import check_wheel
from tasks.wheels.versions import Version, parse_version

Place = Shelf | Registry


def main(arguments: list[str], selected: list[str]) -> None:
    """
    Publish one unit.

    Parameters
    ----------
    arguments : list of str
        Of the command line.
    selected : list of str
        Arguments of pytest for the tests of the wheel; all of them when empty.

    Raises
    ------
    Refused
        If it must not be published; nothing was, then.
    """
    options = parse_arguments(arguments)
    name, _, tagged = options.what.partition("-v")
    unit = find_unit(name)
    place = Shelf(INDEX) if options.to is None else Registry(options.to)
    check_source(unit, tagged or None, place)
    with TemporaryDirectory(prefix="publish-") as folder:
        scratch = Path(folder)
        if options.source:
            bundle = read_bundle(options.source)
        else:
            bundle = make_bundle(unit, place, scratch, selected)
        check_bundle(unit, bundle)
        if options.build_only:
            print(f"tested {hand_out(bundle, options.build_only)}")
        else:
            print(f"published {place.add(unit.name, bundle)}")
        print(f"to pin it: {bundle.pin}")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the command line as a namespace."""
    parser = argparse.ArgumentParser(prog="tox run -e publish --", description=__doc__)
    parser.add_argument("what", metavar="UNIT|TAG", nargs="?", default="iris_model")
    parser.add_argument("--to", metavar="URL", help="a registry; else packages/index/")
    bytes_ = parser.add_mutually_exclusive_group()
    bytes_.add_argument(
        "--build-only", type=Path, metavar="DIR", help="publish nothing, fill DIR"
    )
    bytes_.add_argument(
        "--from", type=Path, metavar="DIR", dest="source", help="publish what is in DIR"
    )
    options = parser.parse_args(arguments)
    if options.build_only and options.build_only.exists():
        if not options.build_only.is_dir() or any(options.build_only.iterdir()):
            raise Refused(f"{options.build_only} is there and not empty")
    return options


def check_source(unit: Unit, tagged: str | None, place: Place) -> None:
    """
    Raise Refused unless source, tags and CHANGELOG name one version that is new.

    Parameters
    ----------
    unit : Unit
    tagged : str
        The version of the tag that is being released, if one is.
    place : Shelf or Registry
        Where the version will be.
    """
    version = source_version(unit)
    repository.check_clean(str(INDEX))
    prefix = f"{unit.name}-v"
    here = [tag.removeprefix(prefix) for tag in repository.tags_here(prefix)]
    for tag in {*here, *([tagged] if tagged else [])}:
        if tag != str(version):
            raise Refused(f"the tag {prefix}{tag} disagrees with the source: {version}")
    if f"{prefix}{version}" in repository.tags(prefix) and not here:
        raise Refused(f"the tag {prefix}{version} is of another commit: check it out")
    if version in place.versions(unit.name):
        reason = f"{unit.name} {version} is published in {place} and never changes"
        raise Refused(f"{reason}: raise the version to publish again")
    check_changelog(unit, version)


def check_changelog(unit: Unit, version: Version) -> None:
    """Raise Refused unless the CHANGELOG begins with a version, and it is right."""
    sections = changelog.sections(unit.changelog.read_text())
    names = [*sections, "nothing"]
    if names[0] != str(version):
        raise Refused(f"{unit.changelog} begins with {names[0]}, not with {version}")
    if len(sections) > 1:
        last = parse_version(names[1])
        changelog.check_level(version, last, sections[names[0]])


def make_bundle(unit: Unit, place: Place, scratch: Path, selected: list[str]) -> Bundle:
    """Build and test a wheel once, cheap refusals first; return it with its SBOM."""
    check_style()
    folder = scratch / "built"
    wheel = build(unit, folder)
    before = digest(wheel)
    check_declared(unit, check_wheel(wheel.name, wheel.read_bytes()))
    if unit.trained:
        check_model(wheel, published_before(unit, place, scratch), scratch)
    check_tests(unit, wheel, scratch, selected)
    return write_bundle(wheel, write_sbom(wheel, unit.requirements), before)


def published_before(unit: Unit, place: Place, scratch: Path) -> Path:
    """Return a folder with the published wheels that a new one is held against."""
    folder = scratch / "published"
    folder.mkdir()
    version = source_version(unit)
    for where in {Shelf(INDEX), place}:
        older = [v for v in where.versions(unit.name) if v <= version]
        if older:
            newest = where.fetch(unit.name, max(older), scratch)
            check_wheel(newest.name, newest.read_bytes())
            shutil.copy(newest, folder / newest.name)
    return folder


def check_bundle(unit: Unit, bundle: Bundle) -> None:
    """Raise Refused unless a bundle is this unit in the version of the source."""
    wheel = bundle.wheel
    check_declared(unit, check_wheel(wheel.name, wheel.read_bytes()))
    there = Shelf(INDEX).wheels(unit.name).get(source_version(unit))
    if there is not None and digest(there) != digest(wheel):
        raise Refused(f"{there} has other bytes: a version is published once")


def hand_out(bundle: Bundle, folder: Path) -> Path:
    """Copy a bundle with its digests into a folder; return its wheel there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in bundle.wheel.parent.iterdir():
        if not file.name.startswith("."):
            shutil.copy(file, folder / file.name)
    return read_bundle(folder).wheel


def command(arguments: list[str], selected: list[str]) -> None:
    """Publish, and end the process with one line when that is refused."""
    sys.exit(exit_code("publish", lambda: main(arguments, selected), RED_GATE))


if __name__ == "__main__":
    command(given(), [])
