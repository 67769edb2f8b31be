"""
List what is in an image, in CycloneDX: Python packages, and Debian's behind them.

The image is asked, not the lock: what is listed is what is there.
"""

from __future__ import annotations

import json
import re

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tasks.system.engine_client import docker, inspect

# Run by the Python of an image.
LIST = """
import importlib.metadata, json, pathlib, platform
python = [(d.name, d.version) for d in importlib.metadata.distributions()]
debian = [p.read_text() for p in pathlib.Path("/var/lib/dpkg/status.d").iterdir()]
print(json.dumps([platform.python_version(), python, debian]))
"""


def make_sbom(image: str) -> str:
    """Return the SBOM of an image on the engine, as JSON; the same each time."""
    listed = docker("run", "--rm", "--entrypoint", "python3", image, "-c", LIST)
    version, python, debian = json.loads(listed)
    parts = [component("generic", "python", version)]
    parts += [component("pypi", name, number) for name, number in python]
    for status in debian:
        name, number = (field(status, wanted) for wanted in ("Package", "Version"))
        parts.append(component("deb", name, number, namespace="debian"))
    title = inspect(image, '{{index .Config.Labels "org.opencontainers.image.title"}}')
    root = Component(
        name=title,
        version=inspect(image, "{{.Id}}"),
        type=ComponentType.CONTAINER,
        bom_ref=title,
    )
    bom = Bom(components=parts, metadata=BomMetaData(component=root))
    bom.register_dependency(root, parts)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Both would differ each time; the digest of the image identifies the document.
    del document["serialNumber"], document["metadata"]["timestamp"]
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    check_sbom(text)
    return text


def check_sbom(text: str) -> None:
    """Raise ValueError if a document is not valid CycloneDX."""
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        reason = re.sub(r"\s+", " ", str(fault))[:300]
        raise ValueError(f"the SBOM is not valid CycloneDX: {reason}")


def component(kind: str, name: str, version: str, namespace: str = "") -> Component:
    """Return an entry with its package URL."""
    url = PackageURL(kind, namespace or None, name, version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
    )


def field(status: str, name: str) -> str:
    """Return a field of what dpkg says of a package."""
    return next(
        line.removeprefix(f"{name}: ")
        for line in status.splitlines()
        if line.startswith(f"{name}: ")
    )
