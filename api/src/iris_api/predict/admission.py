"""
Which request bodies are let in: as many as there is room for, large ones by turns.
"""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import Receive

from iris_api.errors import BodyTooLarge, Overloaded
from iris_api.problems import MAX_BODY_BYTES

# Bodies of up to this size are always let in, and never wait for others.
SMALL_BYTES = 4 * 1024
# For all larger ones that are arriving or waiting: some two seconds of work.
ROOM_BYTES = 32 * 1024 * 1024
# What is read between two looks at other sockets; some three milliseconds of work.
TURN_BYTES = 64 * 1024
# Turns of the loop between: in each, libuv accepts one connection.
PAUSE_TURNS = 8


class ClientGone(Exception):
    """Raised when the client left before its request was complete."""


class Admission:
    """
    A semaphore of bytes, and a queue.

    Not one of requests: a client that never finishes its body would take the place
    of those that need none. Large bodies are read a few at a time, so that however
    many arrive together, new connections, probes and small requests come between.

    Parameters
    ----------
    room_bytes : int
        What large bodies may take together before they are refused.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._calling = False

    async def read_body(self, receive: Receive) -> bytes:
        """
        Return the whole body, when its turn has come.

        Raises
        ------
        BodyTooLarge
            As soon as the cap is passed, whatever length was announced.
        Overloaded
            If there is no room for it.
        ClientGone
            If the client leaves first.
        """
        chunk, more = await _receive(receive)
        if not more and len(chunk) <= SMALL_BYTES:
            return chunk
        body = bytearray()
        try:
            self._admit(chunk, body)
            while more:
                chunk, more = await _receive(receive)
                self._admit(chunk, body)
            if len(body) > SMALL_BYTES:
                await self._wait_for_turn(len(body))
            return bytes(body)
        finally:
            self._room_bytes += len(body)

    def _admit(self, chunk: bytes, body: bytearray) -> None:
        body += chunk
        self._room_bytes -= len(chunk)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        if self._room_bytes < 0 and len(body) > SMALL_BYTES:
            raise Overloaded

    async def _wait_for_turn(self, size: int) -> None:
        loop = asyncio.get_running_loop()
        if not self._calling:
            self._calling = True
            loop.call_soon(self._call, loop, 0)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((size, turn))
        await turn

    def _call(self, loop: asyncio.AbstractEventLoop, pause: int) -> None:
        if pause:
            loop.call_soon(self._call, loop, pause - 1)
        elif self._waiting:
            self._call_some()
            loop.call_soon(self._call, loop, PAUSE_TURNS)
        else:
            self._calling = False

    def _call_some(self) -> None:
        left = TURN_BYTES
        while self._waiting and left > 0:
            size, turn = self._waiting.popleft()
            left -= size
            if not turn.done():  # cancelled: the process ends
                turn.set_result(None)


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message["body"], message["more_body"]
