"""
Decide whether the bytes of a wheel may be published, or used; pure.

Installers check less than one hopes, and read more than one thinks: so what a wheel
says of itself may be written in one way only.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from itertools import zip_longest

from packaging.metadata import Metadata

from tasks.refusal import Refused
from tasks.wheels.archive import read_members
from tasks.wheels.artefact_check import check_artefact
from tasks.wheels.units import find_unit
from tasks.wheels.versions import parse_version

TAG = "py3-none-any"
_DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt"}
_COMPILED_SUFFIXES = (".so", ".pyd", ".dll", ".dylib", ".exe", ".a", ".o", ".pyc")
# ELF, Windows, Mach-O of both orders and of several architectures.
_COMPILED_MAGIC = re.compile(
    rb"\x7fELF|MZ|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe"
)
_WHEEL = re.compile(
    r"Wheel-Version: 1\.0\nGenerator: hatchling \d+(\.\d+)+\n"
    rf"Root-Is-Purelib: true\nTag: {TAG}\n"
)
_ONCE = {"Metadata-Version", "Name", "Version", "Summary", "License-Expression"}
_ONCE |= {"Requires-Python", "Description-Content-Type"}
_OFTEN = {"Classifier", "License-File", "Provides-Extra", "Requires-Dist"}
_FIELD = re.compile(r"([A-Za-z-]+): (\S(?:.*\S)?)")


@dataclass(frozen=True, slots=True)
class Contents:
    """An unpacked wheel: its name and version as the file is called, its members."""

    name: str
    version: str
    members: dict[str, bytes]

    @property
    def dist_info(self) -> str:
        """The folder of the wheel's own files."""
        return f"{self.name}-{self.version}.dist-info"

    def own(self, name: str) -> str:
        """Return the text of one of the wheel's own files; Refused without it."""
        try:
            return self.members[f"{self.dist_info}/{name}"].decode()
        except (KeyError, UnicodeDecodeError):
            raise Refused(f"{self.dist_info}/{name} is missing or not text") from None

    @property
    def metadata(self) -> tuple[dict[str, list[str]], str]:
        """The fields of METADATA with their values, and the text after them."""
        head, _, body = self.own("METADATA").partition("\n\n")
        fields: dict[str, list[str]] = {}
        for line in head.split("\n"):
            found = _FIELD.fullmatch(line)
            if found is None or not line.isprintable():
                raise Refused(f"METADATA has the line {line!r}, which is no field")
            fields.setdefault(found[1], []).append(found[2])
        return fields, body


def check_wheel(filename: str, content: bytes) -> Contents:
    """
    Return what is in a wheel.

    Parameters
    ----------
    filename : str
        As ``iris_api-0.1.0-py3-none-any.whl``.
    content : bytes

    Raises
    ------
    Refused
        Unless the wheel is of a unit, whole, pure and holds nothing but its package.
    """
    try:
        wheel = read_contents(filename, content)
        for name, data in wheel.members.items():
            _check_member(wheel, name, data)
        _check_record(wheel)
        _check_metadata(wheel)
        if not _WHEEL.fullmatch(wheel.own("WHEEL")):
            raise Refused("WHEEL is not as hatchling writes it for pure Python")
        _check_command(wheel)
        if find_unit(wheel.name).trained:
            check_artefact(wheel.name, wheel.version, wheel.members)
    except Refused as refusal:
        raise Refused(f"{filename} must not be published: {refusal}") from None
    return wheel


def read_contents(filename: str, content: bytes) -> Contents:
    """Return what is in a wheel; raise Refused if unpacking it is not safe."""
    try:
        name, version, tags = filename.split("-", 2)
    except ValueError:
        raise Refused("its name is not that of a wheel") from None
    if tags != f"{TAG}.whl":
        raise Refused(f"its tag is {tags.removesuffix('.whl')}, not {TAG}")
    find_unit(name)
    parse_version(version)
    return Contents(name, version, read_members(content))


def _check_member(wheel: Contents, name: str, data: bytes) -> None:
    top, _, rest = name.partition("/")
    if name.lower().endswith(".pth"):
        raise Refused(f"{name} would run at every start of Python")
    if top == f"{wheel.name}-{wheel.version}.data":
        raise Refused(f"{name} would be installed outside the package")
    if top not in (wheel.name, wheel.dist_info):
        raise Refused(f"{name} lies outside {wheel.name} and {wheel.dist_info}")
    if top == wheel.dist_info and rest not in _DIST_INFO:
        if not rest.startswith(("licenses/", "sboms/")):
            raise Refused(f"{name} is not a file of {wheel.dist_info}")
    if name.lower().endswith(_COMPILED_SUFFIXES) or _COMPILED_MAGIC.match(data):
        raise Refused(f"{name} is compiled code, and the wheel says that it has none")


def _check_record(wheel: Contents) -> None:
    record = f"{wheel.dist_info}/RECORD"
    lines = [
        f"{name},sha256={_record_digest(data)},{len(data)}"
        for name, data in wheel.members.items()
        if name != record
    ]
    right = [*lines, f"{record},,", ""]
    stated = wheel.own("RECORD").split("\n")
    for ours, theirs in zip_longest(right, stated, fillvalue="nothing"):
        if ours != theirs:
            reason = "RECORD is not the list of the files with their digests"
            raise Refused(f"{reason}: {theirs!r} instead of {ours!r}")


def _record_digest(data: bytes) -> str:
    raw = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _check_metadata(wheel: Contents) -> None:
    fields, _ = wheel.metadata
    for field, values in fields.items():
        if field not in _ONCE | _OFTEN:
            raise Refused(f"METADATA has the field {field}, which no wheel of ours has")
        if field in _ONCE and len(values) > 1:
            raise Refused(f"METADATA has {len(values)} times {field}")
        if len(set(values)) < len(values):
            raise Refused(f"METADATA says {field} twice with the same value")
    stated = [*fields.get("Name", []), *fields.get("Version", [])]
    if stated != [wheel.name, wheel.version]:
        raise Refused(
            f"METADATA is of {' '.join(stated)}, "
            f"the file of {wheel.name} {wheel.version}"
        )
    try:
        metadata = Metadata.from_email(wheel.own("METADATA"))
    except ExceptionGroup as group:
        raise Refused(f"METADATA: {group.exceptions[0]}") from None
    for requirement in metadata.requires_dist or []:
        if requirement.url:
            raise Refused(f"METADATA requires {requirement.name} from a URL")


def _check_command(wheel: Contents) -> None:
    """Allow one command, called as the unit is, that calls a function of the unit."""
    if f"{wheel.dist_info}/entry_points.txt" not in wheel.members:
        return
    command = wheel.name.replace("_", "-")
    right = rf"\[console_scripts\]\n{command} = {wheel.name}(\.[a-z_]+)*:[a-z_]+\n"
    if not re.fullmatch(right, wheel.own("entry_points.txt")):
        raise Refused(f"entry_points.txt has more than the command {command}, or less")
