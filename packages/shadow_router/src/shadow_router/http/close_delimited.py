"""Answers to HTTP/1.0, which knows no chunks: the connection ends with the body."""

import asyncio
import socket
import struct
from types import SimpleNamespace
from typing import cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)


def end_with_connection(cycle: RequestResponseCycle) -> None:
    """
    Have an answer without a length leave as it is (RFC 9112, section 6.3).

    Uvicorn would send it in chunks, whatever the client speaks.

    Parameters
    ----------
    cycle : RequestResponseCycle
        Of a request that has not begun to be answered.
    """
    send, transport = cycle.send, cycle.transport
    is_unframed = False

    async def send_unframed(message: ASGISendEvent) -> None:
        nonlocal is_unframed
        if message["type"] == "http.response.start":
            names = [name.lower() for name, _ in message.get("headers", ())]
            is_unframed = b"content-length" not in names
            cycle.chunked_encoding = False if is_unframed else None
        elif message["type"] == "http.response.body" and is_unframed:
            # As much as there is, so that uvicorn misses nothing at the end.
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    def close() -> None:
        if is_unframed and not cycle.response_complete:
            # Its end would say that the answer is whole.
            _reset(transport)
        else:
            transport.close()

    cycle.send = send_unframed  # type: ignore[method-assign]
    ends = SimpleNamespace(
        write=transport.write, is_closing=transport.is_closing, close=close
    )
    cycle.transport = cast(asyncio.Transport, ends)


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
    transport.abort()
