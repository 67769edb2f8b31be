"""The bytes between the two processes: a greeting, then length-prefixed exchanges."""

import json
import struct
from asyncio import IncompleteReadError, StreamReader
from dataclasses import dataclass

import orjson

from shadow_router.errors import FrameInvalid
from shadow_router.records import Exchange

_LENGTH = struct.Struct("!I")
_PARTS = struct.Struct("!II")
#: Far above any frame that the body cap lets through; stops a confused peer.
_LONGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of a connection: who calls, and what it handed over before."""

    router_id: str
    handed: int


def encode_hello(hello: Hello) -> bytes:
    """Return the greeting as a frame."""
    text = json.dumps({"router": hello.router_id, "handed": hello.handed}).encode()
    return _LENGTH.pack(len(text)) + text


def decode_hello(payload: bytes) -> Hello:
    """
    Return the greeting in a frame's payload.

    Raises
    ------
    FrameInvalid
        If the payload is not a greeting.
    """
    try:
        document = json.loads(payload)
        return Hello(str(document["router"]), int(document["handed"]))
    except (ValueError, TypeError, KeyError):
        raise FrameInvalid("not a greeting") from None


def encode_exchange(exchange: Exchange) -> bytes:
    """Return the exchange as a frame; bodies travel as they are."""
    head = orjson.dumps(
        (
            exchange.request_id,
            exchange.at_ns,
            exchange.method,
            exchange.target.decode("latin-1"),
            [(n.decode("latin-1"), v.decode("latin-1")) for n, v in exchange.headers],
            exchange.live_status,
            exchange.live_headers,
            exchange.live_ms,
        )
    )
    request = exchange.request_body
    size = _PARTS.size + len(head) + len(request) + len(exchange.live_body)
    parts = (_LENGTH.pack(size), _PARTS.pack(len(head), len(request)), head)
    return b"".join((*parts, request, exchange.live_body))


def decode_exchange(payload: bytes) -> Exchange:
    """
    Return the exchange in a frame's payload.

    Raises
    ------
    FrameInvalid
        If the payload is not an exchange.
    """
    try:
        head_size, request_size = _PARTS.unpack_from(payload)
        head_end = _PARTS.size + head_size
        head = orjson.loads(payload[_PARTS.size : head_end])
        request_id, at_ns, method, target, headers, status, live_headers, ms = head
        pairs = tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in headers)
    except (ValueError, TypeError, struct.error):
        raise FrameInvalid("not an exchange") from None
    return Exchange(
        request_id=request_id,
        at_ns=at_ns,
        method=method,
        target=target.encode("latin-1"),
        headers=pairs,
        request_body=payload[head_end : head_end + request_size],
        live_status=status,
        live_headers=live_headers,
        live_ms=ms,
        live_body=payload[head_end + request_size :],
    )


async def read_frame(reader: StreamReader) -> bytes | None:
    """Return the next frame's payload, or None once the peer has gone."""
    try:
        (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size > _LONGEST:
            raise FrameInvalid(f"a frame of {size} bytes")
        return await reader.readexactly(size)
    except (IncompleteReadError, ConnectionError):
        return None
