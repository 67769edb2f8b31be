"""Request ids: the client's where it is well-formed, else a new one."""

from __future__ import annotations

import re
from random import getrandbits

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


def choose_request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the client's request id if it is well-formed, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _WELL_FORMED(value):
            return value.decode()
    # Unique, not secret: a system call for each would be felt.
    return f"{getrandbits(64):016x}"
