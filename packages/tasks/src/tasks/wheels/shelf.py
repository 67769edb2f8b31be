"""The embedded index: a folder a unit, wheels that are placed once and never change."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from tasks.refusal import Refused
from tasks.wheels.bundle import Bundle
from tasks.wheels.drafts import DRAFT, place
from tasks.wheels.versions import Version, parse_version


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of published wheels, one folder in it for each unit."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def wheels(self, name: str) -> dict[Version, Path]:
        """Return the published wheels of a unit by their version."""
        found = (self.root / name).glob("*.whl")
        return {_version_of(wheel): wheel for wheel in found}

    def versions(self, name: str) -> list[Version]:
        """Return the published versions of a unit."""
        return list(self.wheels(name))

    def fetch(self, name: str, version: Version, folder: Path) -> Path:
        """Return where a published wheel lies; nothing needs to be copied."""
        return self.wheels(name)[version]

    def add(self, name: str, bundle: Bundle) -> str:
        """
        Place a wheel with its SBOM and return where it lies now.

        Raises
        ------
        Refused
            If a file of that name is there; nothing was changed then.
        """
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if (folder / bundle.wheel.name).exists():
                raise _published(folder / bundle.wheel.name)
            # A draft, or an SBOM alone, is what a publisher that was killed left.
            for left in (*folder.glob(f".*{DRAFT}"), folder / bundle.sbom.name):
                left.unlink(missing_ok=True)
            # The wheel last: it is what makes the version published.
            sbom = _place(bundle.sbom, folder)
            try:
                return str(_place(bundle.wheel, folder))
            except BaseException:
                sbom.unlink()
                raise


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let publishers take turns in a folder; one that is killed holds nobody up."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _place(file: Path, folder: Path) -> Path:
    target = folder / file.name
    try:
        place(file.read_bytes(), target)
    except FileExistsError:
        raise _published(target) from None
    return target


def _published(file: Path) -> Refused:
    reason = f"{file} is published and never changes"
    return Refused(f"{reason}: raise the version to publish again")


def _version_of(wheel: Path) -> Version:
    try:
        return parse_version(str(parse_wheel_filename(wheel.name)[1]))
    except InvalidWheelFilename:
        raise Refused(f"{wheel} has not the name of a wheel") from None
