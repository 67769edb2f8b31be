"""
Read a wheel's archive, if it can be read in one way only; pure.

A zip file says everything twice: in front of each file, and in a directory at its end.
Installers differ in what they read. So the archive is written anew from its directory,
and must come out the same byte for byte.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter

from tasks.refusal import Refused

MAXIMUM_BYTES = 100_000_000
MAXIMUM_FILES = 10_000
# What a file may be: regular, and 0644, as hatchling writes it with and without a kind.
_MODES = {0o100644 << 16, 0o644 << 16}
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.+-]*[A-Za-z0-9_+-])?")
_CONSTANT = {
    "create_system": 3,
    "create_version": 20,
    "extract_version": 20,
    "flag_bits": 0,
    "compress_type": zipfile.ZIP_DEFLATED,
    "internal_attr": 0,
    "volume": 0,
    "extra": b"",
    "comment": b"",
}


def read_members(content: bytes) -> dict[str, bytes]:
    """
    Return the bytes of each file by its path, in the order of the archive.

    Raises
    ------
    Refused
        If two readers could see different files, or unpacking is not safe.
    """
    if not content.startswith(b"PK\x03\x04") or content[-22:-18] != b"PK\x05\x06":
        raise Refused("something lies before or after the archive, or it is none")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise Refused(f"the archive is broken: {error}") from None
    if len(entries) > MAXIMUM_FILES:
        raise Refused(f"it holds more than {MAXIMUM_FILES:,} files")
    for entry in entries:
        _check_entry(entry)
    _check_names([entry.filename for entry in entries])
    if sum(entry.file_size for entry in entries) > MAXIMUM_BYTES:
        raise Refused(f"it unpacks to more than {MAXIMUM_BYTES:,} bytes")
    if sum(entry.compress_size for entry in entries) > len(content):
        raise Refused("its directory is not all that is in the archive")
    packed = [_packed(content, entry) for entry in entries]
    if _written(entries, packed) != content:
        raise Refused("its directory is not all that is in the archive")
    pairs = zip(entries, packed, strict=True)
    return {entry.filename: _unpacked(entry, data) for entry, data in pairs}


def _check_entry(entry: zipfile.ZipInfo) -> None:
    # zipfile cuts names at a NUL and turns backslashes: look at what was written.
    name = entry.orig_filename
    if not re.fullmatch(r"[\x21-\x7e]+", name) or re.search(r'[\\:*?"<>|]', name):
        raise Refused(f"{name!r} has a character that no file of ours has")
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Refused(f"{name} leads out of its folder, or is a folder")
    if not all(map(_NAME.fullmatch, parts)):
        raise Refused(f"{name} is hidden, or ends as some systems do not keep it")
    if entry.external_attr not in _MODES:
        mode = f"{entry.external_attr >> 16:o}"
        raise Refused(f"{name} is no plain file of mode 644: {mode}")
    for fact, right in _CONSTANT.items():
        if (found := getattr(entry, fact)) != right:
            raise Refused(f"{name} has {fact} {found!r}, not {right!r}")


def _check_names(names: list[str]) -> None:
    # Some file systems do not tell upper from lower case.
    times = Counter(name.casefold() for name in names)
    for name, count in times.items():
        if count > 1:
            raise Refused(f"{name} is in it {count} times")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            if (folder := "/".join(parts[:depth])) in times:
                raise Refused(f"{folder} is a file and a folder")


def _packed(content: bytes, entry: zipfile.ZipInfo) -> bytes:
    begin = entry.header_offset + 30 + len(entry.filename)
    return content[begin : begin + entry.compress_size]


def _written(entries: list[zipfile.ZipInfo], packed: list[bytes]) -> bytes:
    """Return the archive as its directory tells it, nothing more and nothing less."""
    files, directory = b"", b""
    for entry, data in zip(entries, packed, strict=True):
        name = entry.filename.encode()
        year, month, day, hour, minute, second = entry.date_time
        facts = struct.pack(
            "<5H3L2H",
            *(entry.extract_version, entry.flag_bits, entry.compress_type),
            *(
                hour << 11 | minute << 5 | second // 2,
                year - 1980 << 9 | month << 5 | day,
            ),
            *(entry.CRC, len(data), entry.file_size, len(name), 0),
        )
        directory += b"PK\x01\x02" + struct.pack("<BB", 20, 3) + facts
        directory += struct.pack("<3H2L", 0, 0, 0, entry.external_attr, len(files))
        directory += name
        files += b"PK\x03\x04" + facts + name + data
    sizes = (len(entries), len(entries), len(directory), len(files), 0)
    return files + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *sizes)


def _unpacked(entry: zipfile.ZipInfo, packed: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(packed, entry.file_size + 1)
    except zlib.error as error:
        raise Refused(f"the archive is broken: {entry.filename}: {error}") from None
    is_whole = stream.eof and not stream.unused_data
    if not is_whole or len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
        raise Refused(f"the archive is broken: {entry.filename} is not what it says")
    return data
