"""
Decide whether the bytes of a wheel may be published; pure.

Installers check less than one hopes: they unpack files that RECORD does not list.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import stat
import zipfile
from dataclasses import dataclass

from artefact_check import check_artefact
from packaging.metadata import Metadata
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from refusal import Refused
from versions import parse_version

TAG = "py3-none-any"
MAXIMUM_BYTES = 100_000_000
_DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt"}
_COMPILED_SUFFIXES = (".so", ".pyd", ".dll", ".dylib", ".exe", ".a", ".o", ".pyc")
# ELF, Windows, Mach-O of both orders and of several architectures.
_COMPILED_MAGIC = re.compile(
    rb"\x7fELF|MZ|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe"
)


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


def check_wheel(filename: str, content: bytes, trained: bool) -> None:
    """
    Raise Refused unless a wheel is whole, pure and holds nothing but its package.

    Parameters
    ----------
    filename : str
        As ``iris_api-0.1.0-py3-none-any.whl``.
    content : bytes
    trained : bool
        Whether it must hold a trained artefact.
    """
    try:
        wheel = read_contents(filename, content)
        for name, data in wheel.members.items():
            _check_member(wheel, name, data)
        _check_record(wheel)
        _check_metadata(wheel)
        _check_tags(wheel)
        _check_commands(wheel)
        if trained:
            check_artefact(wheel.name, wheel.version, wheel.members)
    except Refused as refusal:
        raise Refused(f"{filename} must not be published: {refusal}") from None


def read_contents(filename: str, content: bytes) -> Contents:
    """Return what is in a wheel; raise Refused if unpacking it is not safe."""
    try:
        parse_wheel_filename(filename)
        name, version, tags = filename.removesuffix(".whl").split("-", 2)
    except (InvalidWheelFilename, ValueError):
        raise Refused("its name is not that of a wheel") from None
    if tags != TAG:
        raise Refused(f"its tag is {tags}, not {TAG}")
    parse_version(version)
    if not content.startswith(b"PK\x03\x04") or content[-22:-18] != b"PK\x05\x06":
        raise Refused("something lies before or after the archive, or it is none")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return Contents(name, version, _read_members(archive))
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise Refused(f"the archive is broken: {error}") from None


def _read_members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    for entry in entries:
        _check_entry(entry)
    # Some file systems do not tell upper from lower case.
    names = [entry.filename.casefold() for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"{name} is in it {names.count(name)} times")
    if sum(entry.file_size for entry in entries) > MAXIMUM_BYTES:
        raise Refused(f"it unpacks to more than {MAXIMUM_BYTES:,} bytes")
    return {entry.filename: archive.read(entry) for entry in entries}


def _check_entry(entry: zipfile.ZipInfo) -> None:
    # zipfile cuts names at a NUL and turns backslashes: look at what was written.
    name = entry.orig_filename
    parts = name.split("/")
    if not re.fullmatch(r"[\x21-\x7e]+", name) or re.search(r'[\\:*?"<>|]', name):
        raise Refused(f"{name!r} has a character that no file of ours has")
    if any(part in ("", ".", "..") for part in parts):
        raise Refused(f"{name} leads out of its folder, or is a folder")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Refused(f"{name} is a link or another special file")
    if entry.flag_bits & 0x1:
        raise Refused(f"{name} is encrypted")


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


def _own(wheel: Contents, name: str) -> str:
    try:
        return wheel.members[f"{wheel.dist_info}/{name}"].decode()
    except (KeyError, UnicodeDecodeError):
        raise Refused(f"{wheel.dist_info}/{name} is missing or not text") from None


def _check_record(wheel: Contents) -> None:
    rows = [row for row in csv.reader(io.StringIO(_own(wheel, "RECORD"))) if row]
    stated = {row[0]: row[1:] for row in rows}
    if len(stated) != len(rows):
        raise Refused("RECORD lists a file twice")
    if missing := wheel.members.keys() - stated:
        raise Refused(f"RECORD does not list {min(missing)}")
    if gone := stated.keys() - wheel.members:
        raise Refused(f"RECORD lists {min(gone)}, which is not there")
    for name, data in wheel.members.items():
        right = [f"sha256={_record_digest(data)}", str(len(data))]
        if name == f"{wheel.dist_info}/RECORD":
            right = ["", ""]
        if stated[name] != right:
            raise Refused(f"RECORD disagrees with the bytes of {name}")


def _record_digest(data: bytes) -> str:
    raw = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _check_metadata(wheel: Contents) -> None:
    try:
        metadata = Metadata.from_email(_own(wheel, "METADATA"))
    except ExceptionGroup as group:
        raise Refused(f"METADATA: {group.exceptions[0]}") from None
    stated = f"{metadata.name.replace('-', '_')} {metadata.version}"
    if stated != f"{wheel.name} {wheel.version}":
        raise Refused(
            f"METADATA is of {stated}, the file of {wheel.name} {wheel.version}"
        )
    for requirement in metadata.requires_dist or []:
        if requirement.url:
            raise Refused(f"METADATA requires {requirement.name} from a URL")


def _check_tags(wheel: Contents) -> None:
    lines = _own(wheel, "WHEEL").splitlines()
    if "Root-Is-Purelib: true" not in lines:
        raise Refused("WHEEL does not say that the package is pure Python")
    if [line for line in lines if line.startswith("Tag:")] != [f"Tag: {TAG}"]:
        raise Refused(f"WHEEL does not say Tag: {TAG}")


def _check_commands(wheel: Contents) -> None:
    if f"{wheel.dist_info}/entry_points.txt" not in wheel.members:
        return
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(_own(wheel, "entry_points.txt"))
    except configparser.Error:
        raise Refused("entry_points.txt is malformed") from None
    for group in parser.sections():
        if group != "console_scripts":
            raise Refused(f"entry_points.txt adds to {group}, not only commands")
        for command, target in parser[group].items():
            if not re.match(rf"{re.escape(wheel.name)}[.:]", target):
                raise Refused(f"the command {command} runs {target}, not {wheel.name}")
