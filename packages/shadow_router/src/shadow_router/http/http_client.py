"""
A small HTTP/1.1 client that adds nothing, follows nothing and never tries twice.

General clients decode header values, add headers of their own, decompress, and
resend idempotent requests when a kept connection turns out to be closed; each of
these would break a promise of the router, so the bytes are ours and only the
parsing is left to httptools.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

from shadow_router.errors import DescriptorsUsedUp, UpstreamRefused, UpstreamTooLarge
from shadow_router.http.connection import Connection
from shadow_router.http.descriptors import OUT_OF_DESCRIPTORS

#: Shorter than the five seconds after which uvicorn closes a silent connection, so
#: that a request is not sent into one that is just being closed.
MAX_IDLE_S = 2.0


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


class Answer:
    """An answer whose head has arrived; `release` it whatever happens."""

    def __init__(self, client: "HttpClient", connection: Connection) -> None:
        self._client = client
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers
        self.content_length = connection.content_length

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
        TimeoutError
            If the client's deadline is over first.
        """
        whole = self._connection.whole()
        if whole is not None:
            # As most are: nothing to wait for.
            if len(whole) > cap:
                raise UpstreamTooLarge(f"the answer is longer than {cap} bytes")
            return whole
        # Not a list of pieces: a piece of one byte costs as much as sixty.
        body = bytearray()
        while chunk := await self._connection.next_chunk():
            body += chunk
            if len(body) > cap:
                raise UpstreamTooLarge(f"the answer is longer than {cap} bytes")
        return bytes(body)

    def without_deadline(self) -> None:
        """Have what is left of the answer take as long as it takes."""
        self._connection.without_deadline()

    def release(self) -> None:
        """Give the connection back, or cut it if the answer was not read whole."""
        self._client.take_back(self._connection)


class HttpClient:
    """
    Connections to one origin; as many as there are requests in flight.

    Parameters
    ----------
    origin : Origin
        Where the server listens.
    timeout_s : float or None
        Until when `send` must have an answer, and `read` its body; by default whenever.
    """

    def __init__(self, origin: Origin, timeout_s: float | None = None) -> None:
        self.origin = origin
        self._timeout_s = timeout_s
        self._idle: list[Connection] = []
        # In the order in which they end: one timer serves them all, where one for each
        # request would cost more than sending it.
        self._deadlines: deque[tuple[float, Connection, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def send(
        self, head: bytes, body: bytes = b"", *, head_only: bool = False
    ) -> Answer:
        """
        Send one request and return its answer as soon as the head is there.

        Raises
        ------
        UpstreamRefused
            If no connection can be made.
        DescriptorsUsedUp
            If that is our own fault.
        UpstreamBroken
            If the connection breaks or answers something other than HTTP.
        TimeoutError
            If the client's deadline is over first.
        """
        connection = self._kept()
        if connection is not None:
            connection.begin(head_only)
            self._watch(connection)
        else:
            async with asyncio.timeout(self._timeout_s) as deadline:
                connection = await self._connect()
            connection.begin(head_only)
            if (when := deadline.when()) is not None:
                loop = asyncio.get_running_loop()
                loop.call_at(when, connection.expire, connection.number)
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
        """Send one request whose body is still arriving; there is no deadline."""
        connection = self._kept() or await self._connect()
        connection.begin(head_only)
        try:
            await connection.write(head)
            answered = asyncio.ensure_future(connection.wait_for_head())
            uploaded = asyncio.ensure_future(_upload(connection, pieces))
            try:
                # An early answer (say, 413) ends the upload, also one that has
                # come to a halt: nobody is reading it.
                both = {answered, uploaded}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if uploaded.done():
                    uploaded.result()
                else:
                    connection.cut_short()
                await answered
            finally:
                for task in (answered, uploaded):
                    task.cancel()
                await asyncio.gather(answered, uploaded, return_exceptions=True)
        except BaseException:
            connection.transport.abort()
            raise
        return Answer(self, connection)

    def take_back(self, connection: Connection) -> None:
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
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()

    def _close_stale(self) -> None:
        limit = monotonic() - MAX_IDLE_S
        while self._idle and self._idle[0].idle_since < limit:
            self._idle.pop(0).transport.close()

    def _kept(self) -> Connection | None:
        limit = monotonic() - MAX_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= limit:
                return connection
            connection.transport.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                Connection,
                self.origin.host,
                self.origin.port,
                ssl=self.origin.tls or None,
            )
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise DescriptorsUsedUp(os.strerror(error.errno)) from None
            raise UpstreamRefused(type(error).__name__) from None
        return connection

    def _watch(self, connection: Connection) -> None:
        if self._timeout_s is None:
            return
        loop = asyncio.get_running_loop()
        deadlines = self._deadlines
        while deadlines and _is_over(*deadlines[0][1:]):
            deadlines.popleft()
        when = loop.time() + self._timeout_s
        deadlines.append((when, connection, connection.number))
        if self._timer is None:
            self._timer = loop.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        deadlines = self._deadlines
        while deadlines:
            when, connection, number = deadlines[0]
            if not _is_over(connection, number) and when > loop.time():
                self._timer = loop.call_at(when, self._expire)
                return
            connection.expire(number)
            deadlines.popleft()


def _is_over(connection: Connection, number: int) -> bool:
    return connection.complete or connection.number != number


async def _upload(connection: Connection, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        await connection.write(piece)
