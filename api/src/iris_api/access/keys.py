"""
API keys: made here and shown once; from then on only their hashes are known.

A key is 256 random bits, so its sha256 gives nothing away: nobody can try them all.
A slow hash is for secrets that people choose; here every request would pay for it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from time import monotonic

from loguru import logger

from iris_api.access.permissions import fault_of_file, fault_of_folders
from iris_api.errors import KeysUnusable

MAX_BYTES = 64 * 1024
LOOK_EVERY_S = 1.0

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}").fullmatch
_LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})").fullmatch

# What tells one state of a file from another; ctime notices a change of rights.
Mark = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Key:
    """A key's name, which may be told, and its sha256."""

    name: str
    digest: bytes = field(repr=False)


class KeyRing:
    """
    The keys of a file, read again within a second of its change.

    A file that has become unusable changes nothing but the log: who was let in
    before stays in, and who is to be kept out needs a file that can be read.

    Parameters
    ----------
    path : Path
        The file, one key a line.

    Raises
    ------
    KeysUnusable
        If the file cannot be used at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = read_mark(path)
        self._keys = read_keys(path)
        self._trouble = ""
        self._look_at = monotonic() + LOOK_EVERY_S

    def __len__(self) -> int:
        """Return how many keys are in force."""
        return len(self._keys)

    def find_name(self, sent: bytes) -> str | None:
        """Return the name of the key that was sent, None if it is not ours."""
        if monotonic() >= self._look_at:
            self._look_again()
        digest = sha256(sent).digest()
        found = None
        for key in self._keys:  # all of them: time tells nothing of the place
            if compare_digest(key.digest, digest):
                found = key.name
        return found

    def _look_again(self) -> None:
        self._look_at = monotonic() + LOOK_EVERY_S
        try:
            # Before the content: a change in between is noticed the next time.
            mark = read_mark(self._path)
            if mark != self._mark:
                self._keys = read_keys(self._path)
                self._mark = mark
                logger.info("keys read again: {} in force", len(self))
            self._trouble = ""
        except KeysUnusable as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                logger.error("{}; the keys read before stay in force", error)


def make_key(name: str) -> tuple[str, str]:
    """
    Return a new key and the line for the file, which does not hold the key.

    Raises
    ------
    KeysUnusable
        If the name is not 1 to 32 characters of A-Z a-z 0-9 . _ -
    """
    if not _NAME(name):
        raise KeysUnusable(
            "the name of a key is 1 to 32 characters of A-Z a-z 0-9 . _ -"
        )
    key = f"iris_{secrets.token_urlsafe(32)}"
    return key, f"{name} sha256:{sha256(key.encode()).hexdigest()}"


def parse_keys(text: str) -> tuple[Key, ...]:
    """
    Return the keys of a file's text; blank lines and those with a # are skipped.

    Several keys may share a name, which is how one replaces another.

    Raises
    ------
    KeysUnusable
        If a line is not a name and a hash, a key is there twice, or there is none;
        names the line, never what is in it.
    """
    seen: dict[bytes, int] = {}
    keys = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        key = _parse_line(line.strip(), number)
        if key.digest in seen:
            first = seen[key.digest]
            raise KeysUnusable(f"line {number}: the key of line {first} again")
        seen[key.digest] = number
        keys.append(key)
    if not keys:
        raise KeysUnusable("no key in it; iris-api key NAME makes one")
    return tuple(keys)


def _parse_line(line: str, number: int) -> Key:
    parts = _LINE(line)
    if parts is None or not _NAME(parts[1]):
        raise KeysUnusable(
            f"line {number}: not a name and a hash; iris-api key NAME makes the line"
        )
    return Key(parts[1], bytes.fromhex(parts[2]))


def read_keys(path: Path) -> tuple[Key, ...]:
    """
    Return the keys of a file.

    Others may read it, for it holds nothing that opens anything; they may not write
    or replace it, for whoever adds a line is let in.

    Raises
    ------
    KeysUnusable
        If it cannot be read or used; in one line that names setting and file.
    """
    try:
        if fault := fault_of_file(path) or fault_of_folders(path):
            raise KeysUnusable(fault)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise KeysUnusable(f"more than {MAX_BYTES // 1024} KiB")
        return parse_keys(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _unusable(path, "not text in UTF-8") from None
    except OSError as error:
        raise _unusable(path, error.strerror or "cannot be read") from None
    except KeysUnusable as error:
        raise _unusable(path, str(error)) from None


def read_mark(path: Path) -> Mark:
    """
    Return what changes whenever the file does.

    Raises
    ------
    KeysUnusable
        If there is no such file.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _unusable(path, error.strerror or "cannot be read") from None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _unusable(path: Path, reason: str) -> KeysUnusable:
    return KeysUnusable(f"IRIS_API_KEYS, {path}: {reason}")
