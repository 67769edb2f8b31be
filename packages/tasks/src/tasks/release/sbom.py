"""
Describe a wheel in CycloneDX: itself, and everything that is locked for it.

The same wheel and the same lock give the same bytes: no serial number that is drawn,
no time of day.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL
from packaging.utils import canonicalize_name, parse_wheel_filename

from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.release.building import build
from tasks.release.lock import Locked, read_lock
from tasks.wheels.bundle import digest
from tasks.wheels.units import UNITS


def write_sbom(wheel: Path, requirements: Path) -> Path:
    """
    Write the SBOM of a wheel beside it and return its path.

    Parameters
    ----------
    wheel, requirements : Path
        The requirements are locked with hashes.

    Raises
    ------
    Refused
        If what was made is not valid by the schema of CycloneDX.
    """
    text = sbom_of(wheel.name, digest(wheel), read_lock(requirements.read_text()))
    check_valid(text)
    target = wheel.with_suffix(".cdx.json")
    target.write_text(text)
    return target


def sbom_of(filename: str, sha256: str, locked: list[Locked]) -> str:
    """Return the SBOM of a wheel as JSON."""
    name, version, _, _ = parse_wheel_filename(filename)
    root = _component(name, str(version), [sha256], ComponentType.APPLICATION)
    libraries = [_library(entry) for entry in locked]
    bom = Bom(components=libraries, metadata=BomMetaData(component=root))
    bom.register_dependency(root, libraries)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Both would differ each time; the wheel's own digest identifies the document.
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def check_valid(text: str) -> None:
    """Raise Refused if a document is not valid CycloneDX."""
    # Loads a grammar for seconds, which most refusals of a release need not wait for.
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        reason = re.sub(r"\s+", " ", str(fault))[:200]
        raise Refused(f"the SBOM is not valid CycloneDX: {reason}")


def _library(entry: Locked) -> Component:
    component = _component(entry.name, entry.version, entry.sha256)
    if entry.marker:
        component.properties.add(Property(name="python:marker", value=entry.marker))
    return component


def _component(
    name: str,
    version: str,
    digests: list[str],
    kind: ComponentType = ComponentType.LIBRARY,
) -> Component:
    purl = PackageURL("pypi", name=canonicalize_name(name), version=version)
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=d) for d in digests],
    )


def main() -> None:
    """Build each unit and leave wheel and SBOM in dist/."""
    target = Path("dist")
    target.mkdir(exist_ok=True)
    for unit in UNITS.values():
        with TemporaryDirectory(prefix="sbom-") as folder:
            built = build(unit, Path(folder))
            wheel = target / built.name
            wheel.write_bytes(built.read_bytes())
        print(write_sbom(wheel, unit.requirements))


if __name__ == "__main__":
    sys.exit(exit_code("sbom", main, RED_GATE))
