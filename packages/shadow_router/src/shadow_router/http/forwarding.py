"""What is passed on and what ends at this hop: pure functions over headers."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from random import Random

from shadow_router.http.asgi import Headers, Receive, Scope, problem
from shadow_router.http.http1 import (
    HOP_BY_HOP,
    WITHOUT_BODY,
    names_of_this_hop,
    parse_length,
)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# Seeded by the system, which is not asked again for each id.
_random = Random()
#: Extension of the ASGI scope: the request target as the client wrote it.
TARGET = "shadow_router.target"
#: Extension of the ASGI scope: a callable that says whether the client has gone.
IS_GONE = "shadow_router.is_gone"


class ClientGone(Exception):
    """Raised when the client hung up before its request was whole."""


def request_headers(headers: Headers) -> tuple[Headers, str]:
    """Return the end-to-end headers, with a request id, and that id."""
    dropped = HOP_BY_HOP
    request_id = b""
    for name, value in headers:
        if name == b"connection":
            dropped = dropped | names_of_this_hop(value)
        elif name == b"x-request-id" and not request_id:
            request_id = value
    if _REQUEST_ID.fullmatch(request_id):
        kept = [header for header in headers if header[0] not in dropped]
        return kept, request_id.decode("ascii")
    made = f"{_random.getrandbits(128):032x}"
    dropped = dropped | {b"x-request-id"}
    kept = [header for header in headers if header[0] not in dropped]
    return [*kept, (b"x-request-id", made.encode("ascii"))], made


def with_host(headers: Headers, authority: bytes) -> Headers:
    """Return headers that name a host, as HTTP/1.1 asks (RFC 9112, section 3.2)."""
    if any(name == b"host" for name, _ in headers):
        return headers
    return [(b"host", authority), *headers]


def answer_headers(status: int, headers: Headers, request_id: bytes) -> Headers:
    """Return live's headers as the client gets them."""
    kept: Headers = []
    named: frozenset[bytes] = frozenset()
    has_id = False
    for name, value in headers:
        lower = name.lower()
        if lower in HOP_BY_HOP:
            if lower == b"connection":
                named |= names_of_this_hop(value)
            continue
        has_id = has_id or lower == b"x-request-id"
        kept.append((name, value))
    if status in WITHOUT_BODY:
        # It describes a body that is not sent, and uvicorn would wait for it.
        named |= {b"content-length"}
    if named:
        kept = [header for header in kept if header[0].lower() not in named]
    if not has_id:
        kept.append((b"x-request-id", request_id))
    return kept


def refusal(status: int, request: Headers) -> bytes:
    """Return a whole answer of our own, after which the connection ends."""
    headers, body = problem(status)
    _, request_id = request_headers(request)
    headers.append((b"x-request-id", request_id.encode("ascii")))
    if status == 503:
        headers.append((b"retry-after", b"1"))
    headers.append((b"connection", b"close"))
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%b: %b\r\n" % header for header in headers]
    return b"".join([*lines, b"\r\n", body])


def request_target(scope: Scope) -> bytes:
    """Return the request target, byte for byte where the server kept it."""
    verbatim = scope.get("extensions", {}).get(TARGET)
    if isinstance(verbatim, bytes):
        return verbatim
    path, query = scope["raw_path"], scope["query_string"]
    return bytes(path + b"?" + query if query else path)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was read of a body: all of it, or more than the cap."""

    content: bytes
    is_over_cap: bool
    #: Whether the client has more to send.
    has_more: bool


def announced_length(headers: Headers) -> int | None:
    """Return the length of the body that is to come, None where no header says it."""
    for name, value in headers:
        if name == b"content-length":
            return parse_length(value)
    return None


async def read_body(
    receive: Receive, cap: int, announced: int | None = None
) -> Beginning:
    """
    Return the body, or its beginning as soon as it is known to be over the cap.

    Raises
    ------
    ClientGone
        If the client hung up first.
    """
    if announced is not None and announced > cap:
        # Live may refuse it by its head, and a client wait for that.
        return Beginning(b"", is_over_cap=True, has_more=True)
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        piece: bytes = message["body"]
        body = body + piece if body else piece
        if len(body) > cap or not message["more_body"]:
            return Beginning(body, len(body) > cap, message["more_body"])


async def rest_of_body(
    beginning: Beginning,
    receive: Receive,
    *,
    is_chunked: bool,
    on_piece: Callable[[], None],
) -> AsyncIterator[bytes]:
    """
    Yield a long body as the client sends it, framed for live.

    Raises
    ------
    ClientGone
        If the client hangs up in the middle.
    """
    piece, more = beginning.content, beginning.has_more
    while more or piece:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece
            on_piece()
            piece = b""
        if more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            piece, more = message["body"], message["more_body"]
    if is_chunked:
        yield b"0\r\n\r\n"
