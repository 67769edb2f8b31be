"""
One connection: its phase and patience, its answers in order, and how it ends.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from iris_api.http.cork import Corked
from iris_api.http.crowd import ANSWER, BODY, HEAD, IDLE, PARTING, SILENT, Crowd
from iris_api.http.refusal import refusal


class Connection(HttpToolsProtocol):
    """
    A connection that does not wait for ever.

    Parameters
    ----------
    config : Config
        Of uvicorn.
    server_state : Crowd
        The other connections.
    app_state : dict
        Passed on to requests.
    """

    def __init__(
        self,
        config: Config,
        server_state: Crowd,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._crowd = server_state
        self._phase = SILENT
        self._age = 0
        # Whether what still comes is thrown away.
        self._deaf = False
        # Whether only probes are answered.
        self._crowded = False
        # What the request says, whatever its cycle does for now.
        self._keep_alive = False
        # The status that ends this connection once earlier requests are answered.
        self._verdict = 0

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Serve a connection, unless there are too many; answers leave whole."""
        transport = Corked(transport)
        super().connection_made(transport)
        early = SimpleNamespace(
            write=transport.write, is_closing=transport.is_closing, close=self.part
        )
        self._early = cast(asyncio.Transport, early)
        number = len(self.connections)
        self._crowded = number > self._crowd.most
        if number > self._crowd.most + self._crowd.spare:
            self._crowd.turn_away()
            # No time to part: what this is for is not to hold a descriptor.
            self._write_problem(503)
            transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that says at once that it will send no more."""
        if self._phase is not ANSWER:
            # Not left to the loop: it knows nothing of an answer that is corked.
            self.transport.close()
            return False
        self.cycle.keep_alive = False
        return True

    def shutdown(self) -> None:
        """Close after the answer that is under way."""
        self._keep_alive = False
        super().shutdown()

    def grow_older(self, patience: dict[str, int]) -> None:
        """
        Age by one tick; act when patience is at its end.

        Parameters
        ----------
        patience : dict of str to int
            Ticks that each phase may last.
        """
        phase = self._phase
        if phase in (ANSWER, IDLE) and self._is_unread():
            phase = ANSWER
        elif phase is ANSWER:
            return  # it is we who take our time
        self._age += 1
        if self._age > patience[phase]:
            self._expire(phase)

    def _is_unread(self) -> bool:
        return self.flow.write_paused or self.transport.is_closing()

    def pause_writing(self) -> None:
        """Give the client time to read what has piled up."""
        super().pause_writing()
        self._age = 0

    def _expire(self, phase: str) -> None:
        if phase in (HEAD, BODY):
            self._fail(408)
        elif phase in (SILENT, IDLE):
            # In silence: a client that sends just now must not take this for an answer.
            self._phase = PARTING
            self._age = 0
            self.transport.close()
        else:
            self.transport.abort()

    def part(self) -> None:
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

    def _fail(self, status: int) -> None:
        """Refuse the request that is coming, when those before it are answered."""
        if self._deaf:
            return
        self._deaf = True
        self._verdict = status
        if self._phase is BODY:
            self._withdraw()
        if self.pipeline or self._is_answering():
            self._phase = ANSWER
            self._age = 0
        else:
            self._refuse(status)

    def _withdraw(self) -> None:
        cycle = self.cycle
        # Nobody will ask for what has come; the connection may last for long yet.
        cycle.body = bytearray()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return
        cycle.disconnected = True
        cycle.message_event.set()

    def _is_answering(self) -> bool:
        cycle = self.cycle
        # None before the first request, whatever uvicorn's annotation says.
        return bool(cycle) and not (cycle.disconnected or cycle.response_complete)

    def _refuse(self, status: int) -> None:
        if self._phase is not BODY or not self.cycle.response_started:
            self._write_problem(status)
        self.part()

    def _write_problem(self, status: int) -> None:
        date = dict(self.server_state.default_headers)[b"date"]
        self.transport.write(refusal(status, self.headers or [], date))
