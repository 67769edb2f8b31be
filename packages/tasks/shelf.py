"""The embedded index: a folder a unit, wheels that are placed once and never change."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bundle import Bundle, digest
from packaging.utils import parse_wheel_filename
from refusal import Refused
from versions import Version, parse_version


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of published wheels, one folder in it for each unit."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def wheels(self, name: str) -> dict[Version, Path]:
        """Return the published wheels of a unit by their version."""
        found = (self.root / name).glob("*.whl")
        return {parse_version(str(parse_wheel_filename(w.name)[1])): w for w in found}

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
        before = digest(bundle.wheel)
        # The wheel last: it is what makes the version published. An SBOM alone is
        # what somebody who was interrupted left.
        if not (folder / bundle.wheel.name).exists():
            (folder / bundle.sbom.name).unlink(missing_ok=True)
        sbom = _place(bundle.sbom, folder)
        try:
            wheel = _place(bundle.wheel, folder)
        except (OSError, Refused):
            sbom.unlink()
            raise
        if digest(wheel) != before:
            wheel.unlink()
            sbom.unlink()
            raise Refused(f"{bundle.wheel.name} changed while it was placed")
        return str(wheel)


def _place(file: Path, folder: Path) -> Path:
    arriving = folder / f".{file.name}"
    arriving.write_bytes(file.read_bytes())
    arriving.chmod(0o644)
    try:
        os.link(arriving, folder / file.name)  # refuses to replace, unlike rename
    except FileExistsError:
        reason = f"{folder / file.name} is published and never changes"
        raise Refused(f"{reason}: raise the version to publish again") from None
    finally:
        arriving.unlink()
    return folder / file.name
