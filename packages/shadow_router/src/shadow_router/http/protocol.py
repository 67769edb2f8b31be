"""HTTP/1.1 below the application: what is not a whole request in time is refused."""

from types import SimpleNamespace
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from shadow_router.hosts import take_authority
from shadow_router.http.body_budget import SMALL_BYTES
from shadow_router.http.client_connection import ClientConnection
from shadow_router.http.close_delimited import end_with_connection
from shadow_router.http.crowd import ANSWER, BODY, HEAD, IDLE, SILENT
from shadow_router.http.forwarding import IS_GONE, TARGET
from shadow_router.http.http1 import (
    DECISIVE,
    HEAD_BYTES,
    OPTIONAL_SPACE,
    Headers,
    head_length,
    judge_request,
)

#: Requests that may wait for their turn on one connection.
MOST_PIPELINED = 16


class _Enough(Exception):
    """Raised to stop the parser."""


class Protocol(ClientConnection):
    """
    A connection on which HTTP is spoken; made by the server.

    It keeps the request target as the client wrote it (`/a?` is not `/a`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The headers by which a request is judged.
        self._decisive: Headers = []
        # Of what has come since the last body byte, or since the last request.
        self._head_bytes = 0
        self._body_bytes = 0
        self._upgrading = False

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

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._upgrading:
            return
        super().on_message_complete()
        self._phase = IDLE if self.cycle.response_complete else ANSWER
        self._age = self._head_bytes = 0

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
