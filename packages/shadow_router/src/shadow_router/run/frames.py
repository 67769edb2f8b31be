"""The bytes between the two processes: a greeting, then length-prefixed exchanges."""

import asyncio
import struct
from collections.abc import Callable
from typing import NamedTuple, cast

import msgspec

from shadow_router.errors import FrameInvalid
from shadow_router.values import Exchange

_LENGTH = struct.Struct("!I")
#: Far above any frame that the body cap lets through; stops a confused peer.
_LONGEST = 256 * 1024 * 1024


class Hello(NamedTuple):
    """First frame of a connection: who calls, and what it handed over before."""

    router_id: str
    handed: int


_encoder = msgspec.msgpack.Encoder()
_hellos = msgspec.msgpack.Decoder(Hello)
_exchanges = msgspec.msgpack.Decoder(Exchange)


def _framed(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def encode_hello(hello: Hello) -> bytes:
    """Return the greeting as a frame."""
    return _framed(_encoder.encode(hello))


def decode_hello(payload: bytes) -> Hello:
    """
    Return the greeting in a frame's payload.

    Raises
    ------
    FrameInvalid
        If the payload is not a greeting.
    """
    try:
        return _hellos.decode(payload)
    except msgspec.MsgspecError:
        raise FrameInvalid("not a greeting") from None


def encode_exchange(exchange: Exchange) -> bytes:
    """Return the exchange as a frame; bodies travel as they are."""
    return _framed(_encoder.encode(exchange))


def decode_exchange(payload: bytes) -> Exchange:
    """
    Return the exchange in a frame's payload.

    Raises
    ------
    FrameInvalid
        If the payload is not an exchange.
    """
    try:
        return _exchanges.decode(payload)
    except msgspec.MsgspecError:
        raise FrameInvalid("not an exchange") from None


class Intake(asyncio.Protocol):
    """
    One router's connection as the collector sees it: its frames, one by one.

    Parameters
    ----------
    on_made : callable
        Told once the connection is there.
    """

    def __init__(self, on_made: Callable[["Intake"], None]) -> None:
        self._on_made = on_made
        self._transport: asyncio.Transport
        self._held = bytearray()
        self._first: asyncio.Future[bytes | None]
        self._ended: asyncio.Future[None]
        self._take: Callable[[bytes], None] | None = None
        self._fault: FrameInvalid | None = None

    # What the collector does with it

    async def greeting(self) -> bytes | None:
        """Return the first frame's payload, None if the peer has gone before."""
        return await self._first

    async def hand_on(self, take: Callable[[bytes], None]) -> None:
        """
        Give every frame from now on to `take`; return once the peer has said its last.

        Raises
        ------
        FrameInvalid
            If the peer sends something else than frames.
        """
        self._take = take
        self.resume()
        self._split(b"")
        await self._ended
        if self._fault is not None:
            raise self._fault

    def pause(self) -> None:
        """Leave the rest in the router's own queue for now."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def confirm(self) -> None:
        """Tell the router that everything it handed over is stored."""
        self._transport.write(b"\x01")

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    # Transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a greeting."""
        # Uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._first, self._ended = loop.create_future(), loop.create_future()
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that are whole."""
        self._split(data)

    def eof_received(self) -> bool:
        """Note the end; our own word, the confirmation, is still to come."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end()

    def _split(self, data: bytes) -> None:
        if self._held:
            self._held += data
            if not self._is_whole(self._held, 0):
                return
            data = bytes(self._held)
            self._held.clear()
        at = 0
        while self._is_whole(data, at):
            start = at + _LENGTH.size
            (size,) = _LENGTH.unpack_from(data, at)
            at = start + size
            if self._take is not None:
                self._take(data[start:at])
            elif self._first.done():
                # Not wanted yet: nothing is taken before it is known from whom.
                at = start - _LENGTH.size
                break
            else:
                self._first.set_result(data[start:at])
                self.pause()
        if at < len(data):
            self._held += memoryview(data)[at:]

    def _is_whole(self, data: bytes | bytearray, at: int) -> bool:
        if len(data) < at + _LENGTH.size:
            return False
        (size,) = _LENGTH.unpack_from(data, at)
        if size > _LONGEST:
            self._fault = FrameInvalid(f"a frame of {size} bytes")
            self._transport.abort()
            return False
        return bool(len(data) >= at + _LENGTH.size + size)

    def _end(self) -> None:
        if not self._first.done():
            self._first.set_result(None)
        if not self._ended.done():
            self._ended.set_result(None)
