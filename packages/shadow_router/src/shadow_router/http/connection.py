"""One HTTP/1.1 connection to a server, used by one request at a time."""

import asyncio
from collections import deque
from typing import NoReturn, cast

import httptools

from shadow_router.errors import UpstreamBroken
from shadow_router.http.http1 import (
    FRAMING,
    OPTIONAL_SPACE,
    Headers,
    Malformed,
    head_length,
    read_answer,
)

#: What an answer may have that is not its body: head, interim answers, trailers.
_HEAD_CAP = 64 * 1024
#: And with each byte of the body; a chunk of a single byte has five.
_FRAMING_CAP = 8
_HIGH_WATER = 256 * 1024
#: What a piece costs beside its bytes.
_PIECE_BYTES = 64
_LATE = "no whole answer in time"


class _Enough(Exception):
    """Raised to stop the parser."""


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
        self._received = self._body_bytes = 0
        self._buffered = 0
        # The headers that say where the answer ends.
        self._framing: Headers = []
        self.headers: Headers = []
        self.status = 0
        #: The announced length of the body, None when there is none.
        self.content_length: int | None = None
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
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.reusable = False
            if not self.complete:
                self._fail(self.fault or "the answer is not HTTP")
        except httptools.HttpParserUpgrade:
            self._fail("the answer changes the protocol")
        if self._received > _HEAD_CAP:
            self._check_framing()

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

    def on_message_begin(self) -> None:
        """Note that more comes after the end of the answer than was asked for."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header as it was written, without the space after it."""
        if self.status:
            # Trailers are no headers (RFC 9110, section 6.5.1).
            return
        value = value.rstrip(OPTIONAL_SPACE)
        self.headers.append((name, value))
        if (lower := name.lower()) in FRAMING:
            self._framing.append((lower, value))

    def on_headers_complete(self) -> None:
        """Note status and length, unless the answer is an interim one."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            # An interim answer is for this hop alone; the final one follows.
            self.headers.clear()
            self._framing.clear()
            return
        try:
            self.content_length = self._read_head(status)
        except Malformed as error:
            self.fault = str(error)
            raise _Enough from None
        self.status = status
        if self._head_only:
            self._finish()
        self._wake()

    def _read_head(self, status: int) -> int | None:
        # Only so much can hold a head over the cap; few need adding up.
        if self._received > _HEAD_CAP and head_length(b"", self.headers) > _HEAD_CAP:
            raise Malformed("the head of the answer does not end")
        version = self._parser.get_http_version()
        return read_answer(version, status, self._framing)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; stop reading when too much waits to be taken."""
        if self.complete:
            # Of an answer to HEAD, which has none.
            self.reusable = False
            return
        self.chunks.append(body)
        self._body_bytes += len(body)
        self._buffered += len(body) + _PIECE_BYTES
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
        if self.fault and not self._body_bytes:
            # Nothing of it was passed on yet, so that it can still be a 502.
            self._raise()

    async def next_chunk(self) -> bytes:
        """Return the next piece, b"" after the last; raises as `wait_for_head`."""
        while not (self.chunks or self.complete or self.fault):
            await self._wait()
        if self.chunks:
            chunk = self.chunks.popleft()
            before = self._buffered
            self._buffered -= len(chunk) + _PIECE_BYTES
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
        elif self.status and not self._framing:
            # Without a length the end of the connection is the end of the body.
            self.complete = True
            self._wake()
        elif not self.fault:
            self._fail("the connection ended before the answer did")

    def _check_framing(self) -> None:
        """Give up on an answer that is framing without end."""
        framing = self._received - self._body_bytes
        is_endless = framing > _HEAD_CAP + _FRAMING_CAP * self._body_bytes
        if is_endless and not self.complete:
            what = "framing" if self.status else "head"
            self._fail(f"the {what} of the answer does not end")

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
