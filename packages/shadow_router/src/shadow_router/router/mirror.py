"""
Choosing what is copied, and handing the copies to the collector.

Nothing here waits: an exchange is queued, written or dropped, and the caller goes
on. The queue is bounded by items and by bytes, and so is the transport's buffer.
"""

import asyncio
import hashlib
import secrets
from collections import deque
from pathlib import Path
from typing import cast

from loguru import logger

from shadow_router.request.clients import FROM_PAGE, KEY_HEADER, named_by, network_of
from shadow_router.rules.rules import Rules
from shadow_router.run.books import RouterBooks
from shadow_router.run.frames import Hello, encode_exchange, encode_hello
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.values import Exchange, Fate

#: Request headers the shadow gets, beside all that describe the body; others only when
#: asked for by name. Not `traceparent`: a shadow that exports would put its spans into
#: clients' traces.
FORWARDED = (b"accept", b"x-request-id")
_OF_THE_BODY = (b"digest", b"repr-digest", b"inference-header-content-length")
#: The length is stated anew.
_FRAMING = b"content-length"
_WRITE_BUFFER = 64 * 1024
_ALL = 2**64
#: Copies leave together so often: waking the collector for each would cost as much as
#: all else that is done for it here.
_BURST_S = 0.002
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Selection:
    """Which requests are copied, and which of their headers."""

    def __init__(self, settings: Settings, rules: Rules, switches: Switches) -> None:
        pairs = (pair.partition(" ") for pair in rules.mirror)
        self._pairs = {(method, path.encode()) for method, _, path in pairs}
        asked = (name.lower().encode("latin-1") for name in settings.copy_headers)
        self._headers = frozenset((*FORWARDED, *_OF_THE_BODY)).union(asked)
        is_keyed = KEY_HEADER in {name.lower() for name in settings.copy_headers}
        naming = rules.client.lower() or (KEY_HEADER if is_keyed else "")
        self._naming = naming.encode("latin-1")
        self._skips_page = rules.own_page == "skip"
        # A salt of our own: a client cannot choose ids that are always copied.
        self._salt = secrets.token_bytes(16)
        self._switches = switches
        self._share = 1.0
        self._read_switches()

    def is_repeatable(self, method: str, path: bytes) -> bool:
        """Return whether requests of this kind may be sent twice."""
        return (method, path) in self._pairs

    def is_own_page(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Return whether a request says of itself that it is no evidence."""
        return self._skips_page and FROM_PAGE in [name for name, _ in headers]

    def client_of(self, address: str, headers: list[tuple[bytes, bytes]]) -> str:
        """Return whose a request is, by the header that the rules name, or address."""
        if not self._naming:
            return network_of(address)
        return named_by([value for name, value in headers if name == self._naming])

    def left_out(self, request_id: str) -> Fate | None:
        """Return None for a request to be copied, else why it will not be."""
        if self._switches.changes != self._seen:
            self._read_switches()
        if self._kept == _ALL:
            return None
        if self._sampled == 0:
            return Fate.SKIPPED_UNSAMPLED
        digest = hashlib.blake2b(
            request_id.encode("ascii"), digest_size=8, key=self._salt
        ).digest()
        place = int.from_bytes(digest)
        if place >= self._sampled:
            return Fate.SKIPPED_UNSAMPLED
        return Fate.DROPPED_SHED if place >= self._kept else None

    def shed(self, share: float) -> None:
        """Copy this share of the sample from now on."""
        self._share = share
        self._kept = int(self._sampled * share)

    def _read_switches(self) -> None:
        # The number first: a change in between is then read again.
        self._seen = self._switches.changes
        state = self._switches.state
        rate = state.sample_rate if state.is_copying else 0.0
        self._sampled = int(rate * _ALL)
        self.shed(self._share)

    def headers_for_shadow(
        self, headers: list[tuple[bytes, bytes]]
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that the shadow may see."""
        named = self._headers
        return tuple(
            [
                header
                for header in headers
                if header[0] in named
                or (header[0].startswith(b"content-") and header[0] != _FRAMING)
            ]
        )


class Mirror(asyncio.Protocol):
    """The bounded queue to the collector and the connection that empties it."""

    def __init__(self, settings: Settings, books: RouterBooks, socket: Path) -> None:
        self._books = books
        self._socket = socket
        self._items_cap = settings.queue_items
        self._bytes_cap = settings.queue_bytes
        #: Frames, each with whether it may be evidence.
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._bytes = 0
        self._transport: asyncio.Transport | None = None
        self._writable = False
        self._closed = asyncio.Event()
        self._confirmed = False
        self._is_draining = False
        self._is_due = False

    def offer(self, exchange: Exchange, is_evidence: bool = True) -> Fate | None:
        """
        Return None once the exchange is queued, or the fate it met instead.

        What is no evidence leaves at least half of the queue to what is.
        """
        share = 1 if is_evidence else 2
        if len(self._queue) >= self._items_cap // share:
            return Fate.DROPPED_QUEUE
        frame = encode_exchange(exchange)
        if self._bytes + len(frame) > self._bytes_cap // share:
            return Fate.DROPPED_BYTES
        self._queue.append((frame, is_evidence))
        self._bytes += len(frame)
        self._books.count_queued(len(frame))
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_BURST_S, self._pump)
        return None

    async def run(self) -> None:
        """Keep a connection to the collector for as long as the task lives."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while True:
            self._closed.clear()
            try:
                if not self._books.is_on_record:
                    # The collector could not tell what became of a copy.
                    raise FileNotFoundError
                await loop.create_unix_connection(lambda: self, str(self._socket))
            except OSError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            await self._closed.wait()
            if not self._is_draining:
                logger.warning("the collector has gone; copies wait in the queue")
            await asyncio.sleep(pause)

    async def drain(self, grace_s: float) -> bool:
        """
        Empty the queue and return whether the collector confirmed everything.

        What is still queued when the grace time is over is counted as
        `dropped_shutdown`. The collector confirms by closing the connection
        after our end of it, once all it took is stored.
        """
        self._is_draining = True
        try:
            async with asyncio.timeout(grace_s):
                while self._queue:
                    await asyncio.sleep(0.01)
                if self._transport is not None:
                    self._transport.write_eof()
                    await self._closed.wait()
        except TimeoutError:
            pass
        while self._queue:
            frame, is_evidence = self._queue.popleft()
            left = Fate.DROPPED_SHUTDOWN if is_evidence else Fate.SKIPPED_LIVE_FAILED
            self._books.count_abandoned(len(frame), left)
        if self._transport is not None:
            self._transport.abort()
        return self._confirmed or not self._books.handed

    # Transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the collector and begin to hand over."""
        # Uvloop's transports have the methods but not the base class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        transport.write(encode_hello(Hello(self._books.router_id, self._books.handed)))
        self._writable = True
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Take the one byte that says: everything you handed over is stored."""
        self._confirmed = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop handing over; what is queued waits for the next connection."""
        self._transport = None
        self._writable = False
        self._closed.set()

    def pause_writing(self) -> None:
        """Leave the rest in the bounded queue while the collector is behind."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on handing over."""
        self._writable = True
        self._pump()

    def _pump(self) -> None:
        self._is_due = False
        while self._queue and self._writable and self._transport is not None:
            burst: list[bytes] = []
            size = 0
            while self._queue and size < _WRITE_BUFFER:
                frame, _ = self._queue.popleft()
                burst.append(frame)
                size += len(frame)
                # Counted before it is written: after a crash in between, the collector
                # finds handed exchanges that never came and calls them dropped_crash.
                self._books.count_handed(len(frame))
            self._bytes -= size
            self._transport.write(b"".join(burst))
