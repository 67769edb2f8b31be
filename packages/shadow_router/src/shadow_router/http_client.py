"""
A small HTTP/1.1 client that adds nothing, follows nothing and never tries twice.

General clients decode header values, add headers of their own, decompress, and
resend idempotent requests when a kept connection turns out to be closed; each of
these would break a promise of the router, so the bytes are ours and only the
parsing is left to httptools.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

import httptools

from shadow_router.errors import UpstreamBroken, UpstreamRefused, UpstreamTooLarge

Headers = list[tuple[bytes, bytes]]

#: Shorter than the five seconds after which uvicorn closes a silent connection, so
#: that a request is not sent into one that is just being closed.
MAX_IDLE_S = 2.0
_HEAD_CAP = 64 * 1024
_HIGH_WATER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server listens."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> bytes:
        """Return what belongs into a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode("ascii")


def parse_origin(url: str) -> Origin:
    """Return the origin of a URL that the settings have already checked."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Origin(parts.hostname or "", parts.port or (443 if tls else 80), tls)


def encode_head(
    method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the head of a request, with exactly these headers in this order."""
    lines = [b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target)]
    lines += [b"%b: %b\r\n" % header for header in headers]
    lines.append(b"\r\n")
    return b"".join(lines)


class _Connection(asyncio.Protocol):
    """One connection, used by one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.idle_since = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._lost = False
        self.begin(head_only=False)

    def begin(self, head_only: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._head_bytes = 0
        self._framed = False
        self._buffered = 0
        self.headers: Headers = []
        self.status = 0
        self.chunks: deque[bytes] = deque()
        self.complete = False
        self.reusable = False
        self.fault = ""

    # Transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Uvloop's transports have the methods but not the base class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
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
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._end()
        if self._writable and not self._writable.done():
            self._writable.set_result(None)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Parser callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
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
        if self.complete:
            return
        self.chunks.append(body)
        self._buffered += len(body)
        if self._buffered > _HIGH_WATER:
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.status and not self.complete:
            self._finish()

    # What a request does with it

    @property
    def is_open(self) -> bool:
        return not (self._lost or self.transport.is_closing())

    async def wait_for_head(self) -> None:
        while not (self.status or self.fault):
            await self._wait()
        if self.fault and not self.status:
            raise UpstreamBroken(self.fault)

    async def next_chunk(self) -> bytes:
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
            raise UpstreamBroken(self.fault)
        return b""

    async def write(self, data: bytes) -> None:
        if self._writable is not None:
            await self._writable
        if not self._lost:
            self.transport.write(data)

    def _finish(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive()
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

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Answer:
    """An answer whose head has arrived; `release` it whatever happens."""

    def __init__(self, client: "HttpClient", connection: _Connection) -> None:
        self._client = client
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers

    @property
    def content_length(self) -> int | None:
        """Return the announced length of the body, None when there is none."""
        for name, value in self.headers:
            if name.lower() == b"content-length":
                return int(value)
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; UpstreamBroken if it is cut short."""
        while chunk := await self._connection.next_chunk():
            yield chunk

    async def read(self, cap: int) -> bytes:
        """
        Return the whole body.

        Raises
        ------
        UpstreamTooLarge
            If it is longer than `cap` bytes.
        UpstreamBroken
            If it is cut short.
        """
        parts: list[bytes] = []
        size = 0
        while chunk := await self._connection.next_chunk():
            size += len(chunk)
            if size > cap:
                raise UpstreamTooLarge(f"the answer is longer than {cap} bytes")
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self) -> None:
        """Give the connection back, or cut it if the answer was not read whole."""
        self._client.take_back(self._connection)


class HttpClient:
    """Connections to one origin; as many as there are requests in flight."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._idle: list[_Connection] = []

    async def send(
        self, head: bytes, body: bytes = b"", *, head_only: bool = False
    ) -> Answer:
        """
        Send one request and return its answer as soon as the head is there.

        Raises
        ------
        UpstreamRefused
            If no connection can be made.
        UpstreamBroken
            If the connection breaks or answers something other than HTTP.
        """
        connection = await self._connection()
        connection.begin(head_only)
        try:
            connection.transport.write(head + body)
            await connection.wait_for_head()
        except BaseException:
            connection.transport.abort()
            raise
        return Answer(self, connection)

    async def send_streamed(
        self, head: bytes, pieces: AsyncIterator[bytes], *, head_only: bool = False
    ) -> Answer:
        """Send one request whose body is still arriving; raises as `send` does."""
        connection = await self._connection()
        connection.begin(head_only)
        try:
            await connection.write(head)
            # An early answer (say, 413) ends the upload: nobody is reading it.
            async for piece in pieces:
                if connection.status or connection.fault:
                    break
                await connection.write(piece)
            await connection.wait_for_head()
        except BaseException:
            connection.transport.abort()
            raise
        return Answer(self, connection)

    def take_back(self, connection: _Connection) -> None:
        """Keep the connection for the next request if nothing is left on it."""
        if (
            connection.complete
            and connection.reusable
            and not connection.chunks
            and connection.is_open
        ):
            connection.idle_since = monotonic()
            self._idle.append(connection)
        else:
            connection.transport.abort()
        self._close_stale()

    def close(self) -> None:
        """Close the connections that wait for a request."""
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()

    def _close_stale(self) -> None:
        limit = monotonic() - MAX_IDLE_S
        while self._idle and self._idle[0].idle_since < limit:
            self._idle.pop(0).transport.close()

    async def _connection(self) -> _Connection:
        limit = monotonic() - MAX_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= limit:
                return connection
            connection.transport.close()
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                _Connection,
                self.origin.host,
                self.origin.port,
                ssl=self.origin.tls or None,
            )
        except OSError as error:
            raise UpstreamRefused(type(error).__name__) from None
        return connection
