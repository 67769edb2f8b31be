"""A client's connection: its phase and patience, its answers in order, and its end."""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from shadow_router.http.cork import Corked
from shadow_router.http.crowd import ANSWER, BODY, HEAD, IDLE, PARTING, SILENT, Crowd
from shadow_router.http.forwarding import refusal


class ClientConnection(HttpToolsProtocol):
    """A connection that does not wait for ever; `Protocol` reads what comes on it."""

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
        # Serves the oldest request that is not answered.
        self._task: asyncio.Task[None] | None = None
        # Whether what still comes is thrown away.
        self._deaf = False
        # The status that ends this connection once earlier requests are answered.
        self._verdict = 0

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

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the requests that nobody has begun to answer."""
        for cycle, _ in self.pipeline:
            self.server_state.room.give_back(cycle)
        super().connection_lost(exc)

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

    # Called by the request's cycle and by the crowd

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Serve a request, as uvicorn does, and know by which task."""
        self._task = self.loop.create_task(cycle.run_asgi(app))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)
        if self.server_state.room.holds_for(cycle):
            self._give_back_after(cycle)

    def _give_back_after(self, cycle: RequestResponseCycle) -> None:
        # Not with the answer: a client that leaves does not end what it has begun.
        assert self._task is not None
        self._task.add_done_callback(lambda _: self.server_state.room.give_back(cycle))

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
        # Nobody will ask for what has come; the connection may last for long yet.
        cycle.body = bytearray()
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
