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
    # Unique, not secret; not sampled, because nobody has decided to.
    return found or f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-00"


def find_traceparent(headers: list[tuple[bytes, bytes]]) -> str | None:
    """
    Return the client's traceparent as one of version 00, or None.

    Parameters
    ----------
    headers : list of (bytes, bytes)
        Names in lower case. Two traceparents are as good as none.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1 or not _WELL_FORMED(values[0]):
        return None
    if values[0].startswith(b"00") and len(values[0]) != _LENGTH:
        return None
    # Later versions begin alike; of their flags only the first bit is known.
    text = values[0][:_LENGTH].decode()
    if text.startswith("00"):
        return text
    return f"00{text[2:-2]}{int(text[-2:], 16) & 1:02x}"
