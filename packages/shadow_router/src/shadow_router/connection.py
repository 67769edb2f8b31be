"""One HTTP/1.1 connection to a server, used by one request at a time."""

import asyncio
from collections import deque
from typing import NoReturn, cast

import httptools

from shadow_router.errors import UpstreamBroken

_HEAD_CAP = 64 * 1024
_HIGH_WATER = 256 * 1024
_LATE = "no whole answer in time"


class Connection(asyncio.Protocol):
    """Writes a request's bytes and gathers the parsed answer, piece by piece."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.idle_since = 0.0
        #: How many requests it has had: a deadline is about one of them.
        self.number = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._lost = False
        self.begin(head_only=False)

    def begin(self, head_only: bool) -> None:
        """Forget the last answer and expect one to the next request."""
        self.number += 1
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._head_bytes = 0
        self._framed = False
        self._buffered = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.chunks: deque[bytes] = deque()
        self.complete = False
        self.reusable = False
        self._is_cut_short = False
        self.fault = ""

    # Transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Uvloop's transports have the methods but not the base class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if self.complete:
            # Nobody asked for these bytes: whatever they are, they answer nothing.
            self.reusable = False
            self.transport.abort()
            return
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:
                self._fail("the answer is not HTTP")
            self.reusable = False
        except httptools.HttpParserUpgrade:
            self._fail("the answer changes the protocol")
        if not self.status and self._head_bytes > _HEAD_CAP:
            self._fail("the head of the answer does not end")

    def eof_received(self) -> None:
        """Take the end of the stream for the end of the answer, where that is legal."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let everyone who waits go on."""
        self._lost = True
        self._end()
        if self._writable and not self._writable.done():
            self._writable.set_result(None)

    def pause_writing(self) -> None:
        """Have `write` wait: the server reads more slowly than we send."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Have `write` go on."""
        if self._writable and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Parser callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header as it was written."""
        if self.complete:
            return
        self.headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        """Note the status, unless the answer is an interim one."""
        if self.complete:
            # A second answer to one request; the connection is not to be trusted.
            self.reusable = False
            return
        status = self._parser.get_status_code()
        if status < 200:
            # An interim answer is for this hop alone; the final one follows.
            self.headers.clear()
            return
        self.status = status
        if self._head_only:
            self._finish()
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; stop reading when too much waits to be taken."""
        if self.complete:
            return
        self.chunks.append(body)
        self._buffered += len(body)
        if self._buffered > _HIGH_WATER:
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        if self.status and not self.complete:
            self._finish()

    # What a request does with it

    @property
    def is_open(self) -> bool:
        """Return whether a request may be written."""
        return not (self._lost or self.transport.is_closing())

    async def wait_for_head(self) -> None:
        """
        Return once the status is known.

        Raises
        ------
        TimeoutError
            If the deadline is over before.
        UpstreamBroken
            If it never will be.
        """
        while not (self.status or self.fault):
            await self._wait()
        if self.fault and not self.status:
            self._raise()

    async def next_chunk(self) -> bytes:
        """Return the next piece, b"" after the last; raises as `wait_for_head`."""
        while not (self.chunks or self.complete or self.fault):
            await self._wait()
        if self.chunks:
            chunk = self.chunks.popleft()
            before = self._buffered
            self._buffered -= len(chunk)
            if before > _HIGH_WATER >= self._buffered and self.is_open:
                self.transport.resume_reading()
            return chunk
        if self.fault:
            self._raise()
        return b""

    def whole(self) -> bytes | None:
        """Return the body if it is here in one piece, and take it; None if not."""
        if not self.complete or len(self.chunks) != 1:
            return None
        self._buffered = 0
        return self.chunks.popleft()

    def expire(self, number: int) -> None:
        """End the request of that number, unless it has its answer."""
        if number == self.number and not self.complete:
            self._fail(_LATE)

    def without_deadline(self) -> None:
        """Have what is left of the answer take as long as it takes."""
        self.number += 1

    def cut_short(self) -> None:
        """Note that a request was not sent to its end: the next may not follow it."""
        self._is_cut_short = True
        self.reusable = False

    async def write(self, data: bytes) -> None:
        """Write a piece of a long request, no faster than the server reads."""
        if self._writable is not None:
            await self._writable
        if not self._lost:
            self.transport.write(data)

    def _finish(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive() and not self._is_cut_short
        self._wake()

    def _end(self) -> None:
        if self.complete:
            self.reusable = False
        elif self.status and not self._framed:
            # Without a length the end of the connection is the end of the body.
            self.complete = True
            self._wake()
        elif not self.fault:
            self._fail("the connection ended before the answer did")

    def _fail(self, fault: str) -> None:
        self.fault = fault
        self._wake()
        self.transport.abort()

    def _raise(self) -> NoReturn:
        if self.fault is _LATE:
            raise TimeoutError(_LATE)
        raise UpstreamBroken(self.fault)

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
