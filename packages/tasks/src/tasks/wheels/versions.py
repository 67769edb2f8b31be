"""Version numbers of three parts, as every unit here has them; pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from tasks.refusal import Refused

_NUMBER = r"(0|[1-9]\d{0,5})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


class Version(NamedTuple):
    """Major, minor and patch."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version:
    """Return a version such as ``1.2.0``; raise Refused if it is none."""
    found = _VERSION.fullmatch(text)
    if found is None:
        raise Refused(f"{text!r} is not a version: write three numbers such as 1.2.0")
    return Version(*(int(part) for part in found.groups()))


def least_version(last: Version, change: str) -> Version:
    """
    Return the lowest version that may follow another.

    Parameters
    ----------
    last : Version
    change : str
        ``major``, ``minor`` or ``patch``; before 1.0.0 a minor release may break.
    """
    if change == "major" and last.major > 0:
        return Version(last.major + 1, 0, 0)
    if change == "patch":
        return last._replace(patch=last.patch + 1)
    return Version(last.major, last.minor + 1, 0)
