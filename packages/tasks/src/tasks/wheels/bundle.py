"""A bundle: the wheel that was tested, its SBOM, and their digests in SHA256SUMS."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

from tasks.refusal import Refused

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A wheel and the SBOM that describes it."""

    wheel: Path
    sbom: Path

    @property
    def pin(self) -> str:
        """The requirements line that installs exactly this wheel."""
        name, version, _, _ = parse_wheel_filename(self.wheel.name)
        hashed = f"--hash=sha256:{digest(self.wheel)}"
        return f"{name.replace('-', '_')}=={version} {hashed}"


def write_bundle(wheel: Path, sbom: Path, tested: str) -> Bundle:
    """
    Write down that a wheel is the tested one.

    Parameters
    ----------
    wheel, sbom : Path
        In one folder.
    tested : str
        The sha256 that the wheel had before it was tested.

    Raises
    ------
    Refused
        If the wheel has changed since.
    """
    if digest(wheel) != tested:
        raise Refused(f"{wheel.name} is not the wheel that was tested: bytes differ")
    lines = [f"{digest(file)}  {file.name}\n" for file in (wheel, sbom)]
    (wheel.parent / SUMS).write_text("".join(lines))
    return Bundle(wheel, sbom)


def read_bundle(folder: Path) -> Bundle:
    """
    Return the bundle of a folder.

    Raises
    ------
    Refused
        If the folder holds more or less than a bundle, or a digest differs.
    """
    try:
        lines = (folder / SUMS).read_text().splitlines()
        stated = {line[66:]: line[:64] for line in lines}
        there = {path.name for path in folder.iterdir()}
        digests = {name: digest(folder / name) for name in stated}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "unreadable"
        raise Refused(
            f"{folder} holds no bundle ({reason}): make it with --build-only {folder}"
        ) from None
    for name, found in digests.items():
        if found != stated[name]:
            raise Refused(f"{name} is not the file that was tested: its bytes differ")
    kinds = sorted(Path(name).suffix for name in stated)
    if kinds != [".json", ".whl"] or there != {*stated, SUMS}:
        raise Refused(f"{folder} holds other files than one tested wheel and its SBOM")
    by_kind = {Path(name).suffix: folder / name for name in stated}
    return Bundle(by_kind[".whl"], by_kind[".json"])


def digest(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
