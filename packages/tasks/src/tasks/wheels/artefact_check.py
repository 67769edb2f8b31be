"""Hold a trained artefact inside a wheel against its manifest; pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tasks.refusal import Refused

FACES = {"model.onnx", "pipeline.joblib"}
_NEEDED = {"model_name", "model_version", "faces", "digest"}
_NEEDED |= {"config_sha256", "table_sha256"}


def check_artefact(name: str, version: str, members: dict[str, bytes]) -> None:
    """
    Raise Refused unless one artefact of this version is there, with both its faces.

    Parameters
    ----------
    name, version : str
        Of the wheel.
    members : dict
        The bytes of each file by its path in the wheel.
    """
    found = [path for path in members if path.endswith("/manifest.json")]
    if found != [f"{name}/trained/manifest.json"]:
        raise Refused("it holds no trained artefact, or several")
    manifest = _read_manifest(members[found[0]])
    stated = f"{manifest['model_name']} {manifest['model_version']}"
    if stated != f"{name} {version}":
        raise Refused(f"its artefact is of {stated}")
    if manifest["faces"].keys() != FACES:
        raise Refused(f"its manifest does not list the faces {', '.join(FACES)}")
    for face, facts in manifest["faces"].items():
        content = members.get(f"{name}/trained/{face}", b"")
        if facts["sha256"] != hashlib.sha256(content).hexdigest():
            raise Refused(f"its manifest disagrees with the bytes of {face}")
    _check_sources(name, manifest, members)


def _read_manifest(content: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        manifest: dict[str, Any] = json.loads(content)
        rest = {key: value for key, value in manifest.items() if key != "digest"}
        missing = sorted(_NEEDED - manifest.keys())
        strange = any("sha256" not in facts for facts in manifest["faces"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise Refused("its manifest is malformed") from None
    if missing or strange:
        raise Refused(f"its manifest is malformed: no {missing or 'sha256'}")
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    if manifest["digest"] != hashlib.sha256(canonical.encode()).hexdigest():
        raise Refused("its manifest disagrees with its own digest")
    return manifest


def _check_sources(
    name: str, manifest: dict[str, Any], members: dict[str, bytes]
) -> None:
    table = f"{name}/datasets/{manifest.get('table')}"
    for path, key in ((f"{name}/config.yml", "config_sha256"), (table, "table_sha256")):
        if manifest[key] != hashlib.sha256(members.get(path, b"")).hexdigest():
            raise Refused(f"its artefact was not trained from its {path}")
