"""A good wheel, and ways to spoil it as a hostile builder could."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable

from release_tree import WHEELS

NAME = "iris_model-1.2.1-py3-none-any.whl"
INFO = "iris_model-1.2.1.dist-info"
RECORD = f"{INFO}/RECORD"
GOOD = next(path for path in WHEELS if path.name == NAME)
Members = dict[str, bytes]


def members() -> Members:
    """Return the unpacked wheel that is spoilt."""
    with zipfile.ZipFile(GOOD) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def recorded(files: Members) -> Members:
    """Return members whose RECORD is right: a hostile builder can make one, too."""
    others = {name: data for name, data in files.items() if name != RECORD}
    lines = []
    for name, data in others.items():
        raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
        lines.append(f"{name},sha256={raw.rstrip(b'=').decode()},{len(data)}")
    lines.append(f"{RECORD},,")
    return {**others, RECORD: "\n".join(lines).encode() + b"\n"}


def plain(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """Return an entry as hatchling writes it, or of another mode."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = mode << 16
    return entry


def packed(files: Members, *more: zipfile.ZipInfo) -> bytes:
    """Return a wheel of members; those in ``more`` are added as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(plain(name), data)
        for entry in more:
            archive.writestr(entry, b"hostile")
    return buffer.getvalue()


def adding(name: str, data: bytes = b"hostile") -> bytes:
    """Return the wheel with one more file, which RECORD lists."""
    return packed(recorded({**members(), name: data}))


def changing(name: str, old: bytes, new: bytes) -> bytes:
    """Return the wheel with one file changed, and RECORD with it."""
    files = members()
    assert old in files[name]
    return packed(recorded({**files, name: files[name].replace(old, new)}))


def commanding(text: str) -> bytes:
    """Return the wheel with other entry points."""
    return adding(f"{INFO}/entry_points.txt", text.encode())


def resealed(change: Callable[[dict[str, object]], object]) -> bytes:
    """Return the wheel with a changed manifest whose own digest is right."""
    files = members()
    path = "iris_model/trained/manifest.json"
    manifest = json.loads(files[path])
    change(manifest)
    manifest.pop("digest")
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    return packed(recorded({**files, path: json.dumps(manifest).encode()}))


def unrecorded(change: Callable[[Members], object]) -> bytes:
    """Return the wheel after a change that RECORD does not know."""
    files = members()
    change(files)
    return packed(files)
