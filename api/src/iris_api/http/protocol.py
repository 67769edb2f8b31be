"""
HTTP/1.1 below the application: each request is read in one way only, or refused.

The parser is strict already; this adds what it leaves to its user, and caps on all
that would be kept before the application sees a request.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from iris_api.hosts import take_authority
from iris_api.http.connection import Connection
from iris_api.http.crowd import ANSWER, BODY, HEAD, IDLE, SILENT
from iris_api.http.http1 import (
    DECISIVE,
    HEAD_BYTES,
    OPTIONAL_SPACE,
    Headers,
    head_length,
    judge_request,
)

PROBES = (b"/livez", b"/readyz", b"/health", b"/v2/health/live", b"/v2/health/ready")
MOST_PIPELINED = 16


class _Enough(Exception):
    """Raised to stop the parser."""


class Protocol(Connection):
    """A connection on which HTTP is spoken; made by the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The headers by which a request is judged.
        self._decisive: Headers = []
        self._upgrading = False
        # Of the piece being parsed, and of what came before it and is not body.
        self._piece_bytes = 0
        self._head_bytes = 0

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
        self._piece_bytes = len(piece)
        held = -1
        if self._phase is IDLE or self._phase is SILENT:
            self._begin_head(0)
        elif self._phase is BODY:
            held = len(self.cycle.body)
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade as found:
            self._stay_with_http(piece[found.args[0] :])
        except HttpParserError:
            self._fail(self._verdict or 400)
        if self._phase is BODY:
            # For an answer that does not wait for the rest, which is then not read.
            self.cycle.keep_alive = False
            self.cycle.transport = self._early
            if len(self.cycle.body) == held:
                self._count()  # trailers and the like
        elif self._phase is HEAD:
            self._count()

    def _begin_head(self, before: int) -> None:
        self._phase = HEAD
        self._age = 0
        self._head_bytes = -before
        self.headers = []

    def _count(self) -> None:
        self._head_bytes += self._piece_bytes
        if self._head_bytes > HEAD_BYTES:
            self._fail(431)

    def _stay_with_http(self, rest: bytes) -> None:
        # llhttp takes what follows for the other protocol, body or not. Nothing says
        # that we speak it: the body is the request's, and then the connection ends.
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

    def on_message_begin(self) -> None:
        """Begin with the next request."""
        if self._phase is not HEAD:
            self._begin_head(self._piece_bytes)
        super().on_message_begin()
        self._decisive = []

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
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        if self.url[:1] not in (b"/", b"*"):
            take_authority(self.url, self.headers)
        super().on_headers_complete()
        self._phase = BODY
        self._age = 0
        self._head_bytes = 0
        self._upgrading = self.parser.should_upgrade()
        if self._crowded or self._upgrading:
            self.cycle.keep_alive = False
        self._keep_alive = self.cycle.keep_alive

    def _judge_size(self) -> int:
        """Return the status that is due when the head, or the crowd, is too large."""
        # Only a piece this long can hold a head over the cap; few need adding up.
        is_long = self._head_bytes + self._piece_bytes > HEAD_BYTES
        if is_long and head_length(self.url, self.headers) > HEAD_BYTES:
            return 431
        if not self.pipeline and not self._crowded:
            return 0
        is_probe = self.url.partition(b"?")[0] in PROBES
        if self._crowded and not is_probe:
            self._crowd.turn_away()
            return 503
        if len(self.pipeline) >= MOST_PIPELINED:
            return 503
        return 0

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._upgrading:
            return
        super().on_message_complete()
        cycle = self.cycle
        if cycle.transport is self._early and not cycle.response_started:
            cycle.keep_alive = self._keep_alive
            cycle.transport = self.transport
        self._phase = ANSWER
        self._age = 0
