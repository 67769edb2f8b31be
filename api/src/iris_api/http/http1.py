"""
The rules of HTTP/1.1 by which a message is read in one way only, or refused.

Pure functions; sections are those of RFC 9110 (semantics) and RFC 9112 (messages).
Every unit that speaks HTTP has this same file, to the letter.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

Headers = list[tuple[bytes, bytes]]

# Of start line and headers together, and of all else that comes and is no body.
HEAD_BYTES = 16 * 1024
# What may surround a value and is no part of it (RFC 9110, section 5.5).
OPTIONAL_SPACE = b" \t"
# Those that say where a message ends, and with `Host` those that decide on a request.
FRAMING = frozenset((b"content-length", b"transfer-encoding"))
DECISIVE = FRAMING | {b"host"}
# Whatever the headers of such an answer say, it ends with them (RFC 9112, 6.3).
WITHOUT_BODY = frozenset((204, 304))
# RFC 9110, section 7.6.1, and `Expect`, which the next hop answers by itself.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# What is meant for all recipients stays, even where `Connection` names it.
END_TO_END = frozenset(
    (
        b"cache-control",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"date",
        b"host",
        b"inference-header-content-length",
        b"x-request-id",
    )
)

# As many digits as 2**64 - 1 has; int() would take signs, spaces and underscores.
_LENGTH_DIGITS = 20
_LENGTH = b"content-length"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]").search


class Malformed(ValueError):
    """Raised when a message can be read in two ways, or in none."""


def parse_length(value: bytes) -> int:
    """
    Return the number of a `Content-Length` (RFC 9110, section 8.6).

    Raises
    ------
    Malformed
        If it is anything but digits, or more of them than any length has.
    """
    if len(value) > _LENGTH_DIGITS or not value.isdigit():
        raise Malformed("Content-Length is not a length")
    return int(value)


def judge_request(version: str, target: bytes, headers: Headers) -> int:
    """
    Return the status with which a request is refused by its head; 0 to serve it.

    Parameters
    ----------
    version : str
        Such as "1.1"; "0.9" for a line without one.
    target : bytes
        As the client wrote it.
    headers : list of pairs of bytes
        All of them or the `DECISIVE`; names in small letters, values without
        `OPTIONAL_SPACE` around them.
    """
    hosts = lengths = 0
    codings: list[bytes] = []
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            lengths += 1
            if len(value) > _LENGTH_DIGITS or not value.isdigit():
                return 400
        elif name == b"transfer-encoding":
            codings += _list_codings(value)
    if version != "1.1" and (status := _judge_version(version, codings)):
        return status
    # RFC 9112, section 3.2; HTTP/1.0 may leave it out.
    if hosts != 1 and (hosts or version == "1.1"):
        return 400
    # RFC 9112, section 6.3.
    if lengths > 1 or lengths and codings:
        return 400
    if codings and (status := _judge_codings(codings)):
        return status
    return 400 if b"%" in target and has_control_character(target) else 0


def _judge_version(version: str, codings: list[bytes]) -> int:
    if version != "1.0":
        return 400 if version == "0.9" else 505  # RFC 9110, section 15.6.6
    # RFC 9112, section 6.1: whoever wrote it may have meant another framing.
    return 400 if codings else 0


def _list_codings(value: bytes) -> list[bytes]:
    return [one.strip(OPTIONAL_SPACE).lower() for one in value.split(b",")]


def _judge_codings(codings: list[bytes]) -> int:
    """Return 400 if they frame nothing, 501 if they are not ours (RFC 9112, 6.1)."""
    if b"" in codings or b"chunked" in codings[:-1]:
        return 400
    return 0 if codings == [b"chunked"] else 501


def has_control_character(target: bytes) -> bool:
    """
    Return whether the path of a request target has one once it is decoded.

    No file and no route is called so, but readers differ in where such a path ends.
    """
    path = target.partition(b"?")[0].decode("latin-1")
    return _CONTROL(unquote(path)) is not None


def read_answer(version: str, status: int, headers: Headers) -> int | None:
    """
    Return the length of an answer's body, None where no header says it.

    Parameters
    ----------
    version : str
        Such as "1.1".
    status : int
        Of the final answer, not of an interim one.
    headers : list of pairs of bytes
        As of `judge_request`; those of `FRAMING` are enough.

    Raises
    ------
    Malformed
        If it is no answer that can be passed on.
    """
    if version not in ("1.1", "1.0"):
        raise Malformed("the answer is of another version of HTTP")
    if not 200 <= status <= 599:  # RFC 9110, section 15
        raise Malformed("the status of the answer is none")
    lengths = [parse_length(value) for name, value in headers if name == _LENGTH]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Malformed("the answer says twice where it ends")
    if codings and (version != "1.1" or _list_codings(codings[0]) != [b"chunked"]):
        raise Malformed("the answer has a transfer coding other than chunked")
    if status in WITHOUT_BODY:
        return 0
    return lengths[0] if lengths else None


def names_of_this_hop(connection: bytes) -> frozenset[bytes]:
    """Return the headers that a `Connection` names, and has not passed on (7.6.1)."""
    options = (one.strip(OPTIONAL_SPACE).lower() for one in connection.split(b","))
    return frozenset(options) - END_TO_END


def head_length(start_line: bytes, headers: Headers) -> int:
    """Return how many bytes a head has: line, headers and what stands between."""
    return len(start_line) + sum(len(name) + len(value) + 4 for name, value in headers)
