"""HTTP/1.1 below the application: what is not a whole request in time is refused."""

import asyncio
from types import SimpleNamespace
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from shadow_router.close_delimited import end_with_connection
from shadow_router.cork import Corked
from shadow_router.crowd import ANSWER, BODY, HEAD, IDLE, PARTING, SILENT, Crowd
from shadow_router.forwarding import IS_GONE, TARGET, refusal
from shadow_router.hosts import take_authority
from shadow_router.http1 import (
    DECISIVE,
    HEAD_BYTES,
    OPTIONAL_SPACE,
    Headers,
    head_length,
    judge_request,
)
from shadow_router.room import SMALL_BYTES

#: Requests that may wait for their turn on one connection.
MOST_PIPELINED = 16


class _Enough(Exception):
    """Raised to stop the parser."""


class Protocol(HttpToolsProtocol):
    """
    A connection that does not wait for ever; made by the server.

    It keeps the request target as the client wrote it (`/a?` is not `/a`).
    """

    server_state: Crowd

    def __init__(
        self,
        config: Config,
        server_state: Crowd,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._phase = SILENT
        self._age = 0
        # The headers by which a request is judged.
        self._decisive: Headers = []
        # Of what has come since the last body byte, or since the last request.
        self._head_bytes = 0
        self._body_bytes = 0
        # Serves the oldest request that is not answered.
        self._task: asyncio.Task[None] | None = None
        # Whether what still comes is thrown away.
        self._deaf = False
        # The status that ends this connection once earlier requests are answered.
        self._verdict = 0
        self._upgrading = False

    # Transport callbacks

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Serve a connection, unless there are too many; answers leave whole."""
        super().connection_made(Corked(transport))
        crowd = self.server_state
        # A client that has hung up may have left its request to live behind.
        if max(len(self.connections), len(self.tasks)) > crowd.most:
            crowd.turn_away()
            self._fail(503)
            if len(self.connections) > crowd.most + crowd.spare:
                # No time to part: what this is for is not to hold a descriptor.
                self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, no more at a time than a head may have."""
        if len(data) <= HEAD_BYTES:
            self._feed(data)
        else:
            for start in range(0, len(data), HEAD_BYTES):
                self._feed(data[start : start + HEAD_BYTES])

    def _feed(self, piece: bytes) -> None:
        if self._deaf:
            return
        if self._phase in (SILENT, IDLE):
            self._begin_head()
        held = self._body_bytes
        self._head_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade as found:
            self._stay_with_http(piece[found.args[0] :])
        except HttpParserError:
            self._fail(self._verdict or 400)
        if self._phase is BODY and self._body_bytes != held:
            self._head_bytes = 0
        # Endless trailers and the like are no better than an endless head.
        if self._phase in (HEAD, BODY) and self._head_bytes > HEAD_BYTES:
            self._fail(431)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that says at once that it will send no more."""
        if self._phase is not ANSWER:
            # Not left to the loop: it knows nothing of an answer that is corked.
            self.transport.close()
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """Give the client time to read what has piled up."""
        super().pause_writing()
        self._age = 0

    # Parser callbacks

    def on_message_begin(self) -> None:
        """Begin with the next request."""
        super().on_message_begin()
        self._decisive = []
        self._phase = HEAD
        self._age = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are not headers."""
        if self._phase is not HEAD:
            return
        name, value = name.lower(), value.rstrip(OPTIONAL_SPACE)
        if name in DECISIVE:
            self._decisive.append((name, value))
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or refuse it by its head."""
        version = self.parser.get_http_version()
        status = judge_request(version, self.url, self._decisive)
        if status := status or self._judge_size():
            self._verdict = status
            raise _Enough
        if self.url[:1] not in (b"/", b"*"):
            take_authority(self.url, self.headers)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        extensions = {TARGET: self.url, IS_GONE: self.transport.is_closing}
        # An extension's value is a dictionary by the type, but ours alone reads these.
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]
        super().on_headers_complete()
        self._phase = BODY
        self._age = self._head_bytes = self._body_bytes = 0
        if version == "1.0":
            end_with_connection(self.cycle)
        self._upgrading = self.parser.should_upgrade()
        if self._upgrading:
            self.cycle.keep_alive = False

    def _judge_size(self) -> int:
        """Return the status that is due when head or pipeline is too long."""
        # Only a piece this long can hold a head over the cap; few need adding up.
        is_long = self._head_bytes > HEAD_BYTES
        if is_long and head_length(self.url, self.headers) > HEAD_BYTES:
            return 431
        return 503 if len(self.pipeline) >= MOST_PIPELINED else 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, if it is short or there is room for it."""
        super().on_body(body)
        before = self._body_bytes
        self._body_bytes += len(body)
        if self._body_bytes > SMALL_BYTES:
            self._hold(before)

    def _hold(self, before: int) -> None:
        cap = self.server_state.body_bytes
        # Patience is for as much as the size cap.
        if self._body_bytes // cap != before // cap:
            self._age = 0
        room = self.server_state.room
        is_new = not room.holds_for(self.cycle)
        # What is over the cap is passed on as it comes.
        if not room.hold(self.cycle, min(self._body_bytes, cap)):
            self._verdict = 503
            raise _Enough
        if is_new and not self._is_queued():
            self._give_back_after(self.cycle)

    def _give_back_after(self, cycle: RequestResponseCycle) -> None:
        # Not with the answer: a client that leaves does not end what it has begun.
        assert self._task is not None
        self._task.add_done_callback(lambda _: self.server_state.room.give_back(cycle))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Serve a request, as uvicorn does, and know by which task."""
        self._task = self.loop.create_task(cycle.run_asgi(app))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)
        if self.server_state.room.holds_for(cycle):
            self._give_back_after(cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the requests that nobody has begun to answer."""
        for cycle, _ in self.pipeline:
            self.server_state.room.give_back(cycle)
        super().connection_lost(exc)

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._upgrading:
            return
        super().on_message_complete()
        self._phase = IDLE if self.cycle.response_complete else ANSWER
        self._age = self._head_bytes = 0

    # Called by the request's cycle and by the crowd

    def on_response_complete(self) -> None:
        """Begin with the next request, if it is here already."""
        self.server_state.total_requests += 1
        if self._phase is PARTING or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._verdict:
            self._refuse(self._verdict)
        elif self._phase is ANSWER:
            # No timer of its own, unlike uvicorn's: a tick will do.
            self._phase = IDLE
            self._age = 0

    def grow_older(self, patience: dict[str, int]) -> None:
        """Age by one tick; act when patience is at its end."""
        if self._phase is ANSWER:
            is_our_turn = not (self.flow.write_paused or self.transport.is_closing())
        else:
            # What we do not read, the client cannot be late with.
            is_our_turn = self._phase in (HEAD, BODY) and self.flow.read_paused
        if is_our_turn:
            return
        self._age += 1
        if self._age > patience[self._phase]:
            self._expire()

    def _expire(self) -> None:
        if self._phase in (HEAD, BODY):
            self._fail(408)
        elif self._phase in (SILENT, IDLE):
            # In silence: a client that sends just now must not take this for an answer.
            self._phase = PARTING
            self._age = 0
            self.transport.close()
        else:
            self.transport.abort()

    # Refusing

    def _begin_head(self) -> None:
        self._phase = HEAD
        self._age = self._head_bytes = 0
        # For a refusal, which looks for the id of the request it refuses.
        self.headers = []

    def _stay_with_http(self, rest: bytes) -> None:
        # The parser takes what follows for the other protocol, body or not. Nothing
        # says that we speak it: the body is the request's, and then all ends.
        framing = [
            b"%b: %b\r\n" % header
            for header in self.headers
            if header[0] in (b"content-length", b"transfer-encoding")
        ]
        self._upgrading = False
        callbacks = SimpleNamespace(
            on_body=self.on_body, on_message_complete=self._end_upgraded
        )
        self.parser = HttpRequestParser(callbacks)
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        self._feed(rest)

    def _end_upgraded(self) -> None:
        self.on_message_complete()
        self._deaf = True
        raise _Enough

    def _fail(self, status: int) -> None:
        """Refuse the request that is coming, when those before it are answered."""
        if self._deaf:
            return
        self._deaf = True
        self._verdict = status
        if self._phase is not BODY or self._was_withdrawn():
            self.server_state.on_refused()
        if self.pipeline or self._is_answering():
            self._phase = ANSWER
            self._age = 0
        else:
            self._refuse(status)

    def _was_withdrawn(self) -> bool:
        """Take back a request whose body will not come; was it still in the queue?"""
        cycle = self.cycle
        if self._is_queued():
            self.pipeline.popleft()
            self.server_state.room.give_back(cycle)
            return True
        cycle.disconnected = True
        cycle.message_event.set()
        return False

    def _is_queued(self) -> bool:
        """Return whether the request that is coming waits for others."""
        return bool(self.pipeline) and self.pipeline[0][0] is self.cycle

    def _is_answering(self) -> bool:
        cycle = self.cycle
        # None before the first request, whatever uvicorn's annotation says.
        return bool(cycle) and not (cycle.disconnected or cycle.response_complete)

    def _refuse(self, status: int) -> None:
        if self._phase is not BODY or not self.cycle.response_started:
            self.transport.write(refusal(status, self.headers or []))
        self._part()

    def _part(self) -> None:
        """
        Close once the client has read what was sent, or does not.

        Closed with bytes of the client unread, a connection is reset, and the
        answer may be lost with it.
        """
        self._deaf = True
        self._phase = PARTING
        self._age = 0
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write_eof()
