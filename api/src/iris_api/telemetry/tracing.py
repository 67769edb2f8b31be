"""
The trace that a request belongs to: ``traceparent``, as W3C Trace Context has it.

Spans are in `spans`, which is loaded only where they are exported.
"""

from __future__ import annotations

import re
from random import getrandbits

from starlette.types import Scope

# Where the state of a request has the traceparent of our own span, if it has one.
OWN = "traceparent"

_LENGTH = 55
_WELL_FORMED = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    rb"(?:-[^\n]*)?"
).fullmatch


def traceparent_of(scope: Scope) -> str:
    """Return what a request is recorded under: our span, the client's, or a new one."""
    own: str | None = scope["state"].get(OWN)
    return own or choose_traceparent(scope["headers"])


def choose_traceparent(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the client's traceparent if it is well-formed, else a new one."""
    found = find_traceparent(headers)
    if found is not None:
        return found
    # Unique, not secret; not sampled, because nobody has decided to.
    made = f"{getrandbits(192):048x}"
    return f"00-{made[:32]}-{made[32:]}-00"


def find_traceparent(headers: list[tuple[bytes, bytes]]) -> str | None:
    """
    Return the client's traceparent as one of version 00, or None.

    Parameters
    ----------
    headers : list of (bytes, bytes)
        Names in lower case. Two traceparents are as good as none.
    """
    found = None
    for name, value in headers:
        if name == b"traceparent":
            if found is not None:
                return None
            found = value
    # Most requests have none, and each pays for what is done here.
    return None if found is None else _read(found)


def _read(value: bytes) -> str | None:
    if not _WELL_FORMED(value):
        return None
    if value.startswith(b"00") and len(value) != _LENGTH:
        return None
    # Later versions begin alike; of their flags only the first bit is known.
    text = value[:_LENGTH].decode()
    if text.startswith("00"):
        return text
    return f"00{text[2:-2]}{int(text[-2:], 16) & 1:02x}"
