"""Pins: the one line of a requirements file that says which wheel a service runs."""

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from shadow_router.errors import PinUnusable

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!-]+)"
    r"[ \t]+--hash=sha256:(?P<sha256>[0-9a-f]{64})[ \t]*$",
    re.MULTILINE,
)
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Pin:
    """A distribution in one version, with the sha256 of its wheel."""

    name: str
    version: str
    sha256: str
    #: As it is written, without the end of the line.
    line: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_pin(path: Path) -> tuple[str, Pin]:
    """
    Return the text of a requirements file and its pin.

    Raises
    ------
    PinUnusable
        If it cannot be read, or does not hold exactly one pin of one line.
    """
    try:
        # As bytes: a copy must not change the ends of lines.
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise PinUnusable(f"{path} is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PinUnusable(f"{path} cannot be read: {type(error).__name__}") from None
    found = list(_PIN.finditer(text.replace("\r\n", "\n")))
    if len(found) != 1:
        raise PinUnusable(
            f"{path} holds {len(found)} lines `name==version --hash=sha256:…`; "
            "it must hold exactly one"
        )
    line = found[0].group(0)
    return text, Pin(found[0]["name"], found[0]["version"], found[0]["sha256"], line)


def digest_of(pin: Pin, index: Path) -> str:
    """
    Return the digest of the artefact inside the wheel that a pin names.

    Parameters
    ----------
    index : Path
        A folder of published wheels, searched with those below it.

    Raises
    ------
    PinUnusable
        If no wheel there has the pin's sha256, or it holds no manifest.
    """
    stem = re.sub(r"[-_.]+", "_", pin.name)
    for wheel in sorted(index.rglob(f"*-{pin.version}-*.whl")):
        distribution = wheel.name.split("-")[0]
        if re.sub(r"[-_.]+", "_", distribution).lower() == stem.lower():
            if hashlib.sha256(wheel.read_bytes()).hexdigest() == pin.sha256:
                return _manifest_digest(wheel)
    raise PinUnusable(f"no wheel of {pin} with the pin's sha256 lies in {index}")


def _manifest_digest(wheel: Path) -> str:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.split("/")[-1] == _MANIFEST]
            contents = [archive.read(name) for name in names]
        if len(contents) != 1:
            raise PinUnusable(f"{wheel} holds {len(contents)} files {_MANIFEST}, not 1")
        document = json.loads(contents[0])
    except (zipfile.BadZipFile, ValueError):
        raise PinUnusable(f"{wheel} is not a wheel with a {_MANIFEST}") from None
    # A manifest that states its own digest is the one the service tells.
    stated = document.get("digest") if isinstance(document, dict) else None
    if isinstance(stated, str):
        return stated
    return hashlib.sha256(contents[0]).hexdigest()
