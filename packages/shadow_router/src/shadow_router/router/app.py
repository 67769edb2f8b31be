"""The public ASGI app: every request goes to live, and live's answer comes back."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger

from shadow_router.compare.answers import kept_headers
from shadow_router.errors import DescriptorsUsedUp, UpstreamFailed
from shadow_router.hosts import HostGuard
from shadow_router.http.asgi import (
    HOST_NOT_SERVED,
    Headers,
    Receive,
    Scope,
    Send,
    problem,
    send_body,
    send_head,
)
from shadow_router.http.content_coding import can_undo
from shadow_router.http.forwarding import (
    IS_GONE,
    Beginning,
    ClientGone,
    announced_length,
    answer_headers,
    read_body,
    request_headers,
    request_target,
    rest_of_body,
    with_host,
)
from shadow_router.http.http_client import Answer, HttpClient, encode_head
from shadow_router.request.statuses import Standing, standing_of
from shadow_router.router.mirror import Mirror, Selection
from shadow_router.router.shedding import Shedder
from shadow_router.run.books import RouterBooks
from shadow_router.settings import Settings
from shadow_router.values import LOST, Exchange, Fate

_TELL_AGAIN_S = 1.0


@dataclass(slots=True)
class _Visit:
    """What is known of one request while it is being served."""

    method: str
    target: bytes
    request_id: str
    headers: Headers
    at_ns: int
    is_gone: Callable[[], bool]
    address: str = ""
    fate: Fate | None = None
    is_repeatable: bool = False
    length: int | None = None
    request_body: bytes = b""
    live_status: int = 0
    live_headers: Headers = field(default_factory=list)
    live_ms: float = 0.0
    live_body: bytes = b""

    @property
    def standing(self) -> Standing:
        """Return what live's answer makes of the request."""
        return standing_of(self.live_status)

    def skip(self, fate: Fate) -> None:
        """Note why there will be no comparison; the first reason stands."""
        if self.fate is None:
            self.fate = fate


class RouterApp:
    """ASGI app that forwards to live and offers a copy to the mirror."""

    def __init__(
        self,
        settings: Settings,
        live: HttpClient,
        selection: Selection,
        mirror: Mirror,
        shedder: Shedder,
        books: RouterBooks,
        guard: HostGuard | None = None,
    ) -> None:
        self._live = live
        self._selection = selection
        self._mirror = mirror
        self._shedder = shedder
        self._books = books
        self._guard = guard
        self._cap = settings.body_cap_bytes
        self._timeout_s = settings.live_timeout_s
        self._is_stopping = False
        # When each fault of live was last told; there are a dozen.
        self._told: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and give it exactly one fate."""
        self._books.count_received()
        fate: Fate | None = Fate.INTERNAL_ERROR
        try:
            visit = self._begin(scope)
            if self._guard is not None and self._guard.refuses(scope):
                visit.fate = Fate.SKIPPED_REFUSED
                await self._send_problem(visit, send, 421, HOST_NOT_SERVED)
            else:
                await self._serve(visit, receive, send)
            fate = self._copy(visit)
        except asyncio.CancelledError:
            # Only a stop whose grace time is over cancels a request.
            fate = Fate.DROPPED_SHUTDOWN
            raise
        except Exception as error:
            # The class alone: texts of exceptions quote what clients sent.
            logger.error("request failed inside the router: {}", type(error).__name__)
            raise
        finally:
            if fate is not None:
                self._books.count_fate(fate)

    def _copy(self, visit: _Visit) -> Fate | None:
        """Return None once a copy is queued, or the fate of a request without one."""
        is_evidence = visit.standing is Standing.ANSWERED
        fate = visit.fate
        if fate is None:
            exchange = self._exchange(visit)
            if not can_undo(exchange.live_headers.get("content-encoding", "")):
                # The client asked for a coding that cannot be looked through.
                return Fate.SKIPPED_LIVE_FAILED
            fate = self._mirror.offer(exchange, is_evidence)
        # What could be no evidence is not lost by being left out.
        is_lost = fate in LOST and is_evidence
        return fate if is_lost or fate not in LOST else Fate.SKIPPED_LIVE_FAILED

    def announce_stop(self) -> None:
        """Have every answer from now on ask the client to close its connection."""
        self._is_stopping = True

    def _begin(self, scope: Scope) -> _Visit:
        headers, request_id = request_headers(scope["headers"])
        if scope["http_version"] == "1.0":
            headers = with_host(headers, self._live.origin.authority)
        method = scope["method"]
        target = request_target(scope)
        is_gone = scope["extensions"][IS_GONE]
        visit = _Visit(method, target, request_id, headers, time.time_ns(), is_gone)
        if not self._selection.is_repeatable(method, scope["raw_path"]):
            visit.skip(Fate.SKIPPED_METHOD)
        else:
            visit.is_repeatable = True
            visit.fate = self._selection.left_out(request_id)
            if self._selection.is_own_page(headers):
                visit.fate = Fate.SKIPPED_UNSAMPLED
            # None for a client of a Unix socket.
            visit.address = scope["client"][0] if scope["client"] else ""
        return visit

    async def _serve(self, visit: _Visit, receive: Receive, send: Send) -> None:
        try:
            answer = await self._ask_live(visit, receive)
        except TimeoutError:
            await self._send_problem(visit, send, 504)
            return
        except DescriptorsUsedUp:
            await self._send_problem(visit, send, 503)
            return
        except ClientGone:
            await self._send_problem(visit, send, 502)
            return
        except UpstreamFailed as error:
            self._tell(error)
            await self._send_problem(visit, send, 502)
            return
        try:
            if answer is not None:
                await self._stream(visit, answer, send)
                return
        finally:
            if answer is not None:
                answer.release()
        await self._send_live_head(visit, send)
        await send_body(send, visit.live_body)

    async def _ask_live(self, visit: _Visit, receive: Receive) -> Answer | None:
        """Return an answer that must be streamed, or None with a short one noted."""
        visit.length = announced_length(visit.headers)
        body = await read_body(receive, self._cap, visit.length)
        began = time.perf_counter()
        if body.is_over_cap:
            async with asyncio.timeout(self._timeout_s) as deadline:
                answer = await self._send_long(visit, body, receive, deadline)
                is_whole = await self._read_short(visit, answer)
        else:
            answer = await self._send_whole(visit, body.content)
            is_whole = await self._read_short(visit, answer)
        visit.live_ms = (time.perf_counter() - began) * 1e3
        if visit.is_repeatable and visit.standing is Standing.ANSWERED:
            # Like with like: other paths, and refusals, take as long as they take.
            self._shedder.note(visit.live_ms)
        return None if is_whole else answer

    async def _read_short(self, visit: _Visit, answer: Answer) -> bool:
        """Note the answer; return whether its body is short, and noted as well."""
        visit.live_status, visit.live_headers = answer.status, answer.headers
        if visit.standing is Standing.UNANSWERED:
            visit.skip(Fate.SKIPPED_LIVE_FAILED)
        length = answer.content_length
        if length is None or length > self._cap:
            answer.without_deadline()
            return False
        try:
            visit.live_body = await answer.read(self._cap)
        finally:
            answer.release()
        return True

    async def _send_whole(self, visit: _Visit, body: bytes) -> Answer:
        visit.request_body = body
        headers = visit.headers
        if body and visit.length is None:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        head = encode_head(visit.method, visit.target, headers)
        return await self._live.send(head, body, head_only=visit.method == "HEAD")

    async def _send_long(
        self,
        visit: _Visit,
        beginning: Beginning,
        receive: Receive,
        deadline: asyncio.Timeout,
    ) -> Answer:
        """Send a body that is over the cap; the deadline starts anew at each piece."""
        visit.skip(Fate.SKIPPED_TOO_LARGE)
        loop = asyncio.get_running_loop()
        is_chunked = visit.length is None
        headers = visit.headers
        if is_chunked:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        pieces = rest_of_body(
            beginning,
            receive,
            is_chunked=is_chunked,
            on_piece=lambda: deadline.reschedule(loop.time() + self._timeout_s),
        )
        head = encode_head(visit.method, visit.target, headers)
        return await self._live.send_streamed(
            head, pieces, head_only=visit.method == "HEAD"
        )

    async def _stream(self, visit: _Visit, answer: Answer, send: Send) -> None:
        """Pass the answer on as it comes, keeping a copy while it is under the cap."""
        await self._send_live_head(visit, send)
        # Not a list of pieces: a piece of one byte costs as much as sixty.
        kept = bytearray()
        size = 0
        try:
            async for chunk in answer.chunks():
                size += len(chunk)
                if size <= self._cap:
                    kept += chunk
                elif visit.is_gone():
                    # Nobody reads it and nobody will compare it; it may never end.
                    visit.skip(Fate.SKIPPED_TOO_LARGE)
                    return
                await send_body(send, chunk, more=True)
        except UpstreamFailed as error:
            self._tell(error)
            # The head is out: all that is left is to end the connection early, as
            # live did. Uvicorn does so when an app returns before the last piece.
            visit.skip(Fate.SKIPPED_LIVE_FAILED)
            return
        await send_body(send, b"")
        visit.live_body = bytes(kept)
        if size > self._cap:
            visit.skip(Fate.SKIPPED_TOO_LARGE)

    def _tell(self, error: UpstreamFailed) -> None:
        """Log what is wrong with live, the same at most once a second."""
        fault, now = str(error), time.monotonic()
        if now - self._told.get(fault, 0.0) >= _TELL_AGAIN_S:
            self._told[fault] = now
            logger.warning("no answer of live to pass on: {}", fault)

    async def _send_live_head(self, visit: _Visit, send: Send) -> None:
        headers = answer_headers(
            visit.live_status, visit.live_headers, visit.request_id.encode("ascii")
        )
        if self._is_stopping:
            headers.append((b"connection", b"close"))
        await send_head(send, visit.live_status, headers)

    async def _send_problem(
        self, visit: _Visit, send: Send, status: int, detail: str = ""
    ) -> None:
        visit.skip(Fate.SKIPPED_LIVE_FAILED)
        headers, body = problem(status, detail)
        headers.append((b"x-request-id", visit.request_id.encode("ascii")))
        if self._is_stopping:
            headers.append((b"connection", b"close"))
        await send_head(send, status, headers)
        await send_body(send, body)

    def _exchange(self, visit: _Visit) -> Exchange:
        return Exchange(
            request_id=visit.request_id,
            at_ns=visit.at_ns,
            method=visit.method,
            target=visit.target,
            headers=self._selection.headers_for_shadow(visit.headers),
            request_body=visit.request_body,
            live_status=visit.live_status,
            live_headers=kept_headers(visit.live_headers),
            live_ms=visit.live_ms,
            live_body=visit.live_body,
            client=self._selection.client_of(visit.address, visit.headers),
        )
