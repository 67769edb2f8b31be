"""
Check the embedded index before anybody installs from it: wheels, and their SBOMs.

A wheel that came in beside `publish` is looked at as one that is to be published.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.wheels.bundle import digest
from tasks.wheels.drafts import DRAFT
from tasks.wheels.units import INDEX, UNITS
from tasks.wheels.verifier import check_wheel


def check_index(root: Path) -> None:
    """Raise Refused unless every file of an index is a good wheel or its SBOM."""
    for path in sorted(root.rglob("*")):
        unit, is_wheel = path.parent.name, path.suffix == ".whl"
        if path.is_symlink():
            raise Refused(f"{path} has no place in the index")
        if path in (root / "README.md", *(root / name for name in UNITS)):
            continue
        if path.parent.parent != root or unit not in UNITS:
            raise Refused(f"{path} has no place in the index")
        if is_wheel and check_wheel(path.name, path.read_bytes()).name != unit:
            raise Refused(f"{path} lies in the folder of another unit")
        if not is_wheel and path.suffix != DRAFT:
            _check_sbom(path)


def _check_sbom(path: Path) -> None:
    if not path.is_file() or not path.name.endswith(".cdx.json"):
        raise Refused(f"{path} is neither a wheel nor the SBOM of one")
    wheel = path.parent / path.name.replace(".cdx.json", ".whl")
    if not wheel.exists():
        return  # left by a publisher that was killed; the next one removes it
    try:
        component = json.loads(path.read_bytes())["metadata"]["component"]
        stated = [one["content"] for one in component["hashes"]]
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{path} is not as publish writes it") from None
    if stated != [digest(wheel)]:
        raise Refused(f"{path} is the SBOM of other bytes than {wheel.name}")


if __name__ == "__main__":
    sys.exit(exit_code("index", lambda: check_index(INDEX), RED_GATE))
