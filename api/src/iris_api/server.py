"""
The server: uvicorn, with a way to stop that loses no request.
"""

from __future__ import annotations

import asyncio
import socket
from select import select
from time import monotonic
from types import FrameType

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from iris_api.cork import Corked
from iris_api.errors import ListenerBusy
from iris_api.gateway import Gateway, choose_request_id
from iris_api.problems import MEDIA_TYPE, problem_of_status
from iris_api.routes import Lifecycle

BACKLOG = 2048
TICK_S = 0.02
# Kept-alive clients that have not sent anything for this long are let go.
QUIET_S = 1.0


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, whose own errors are problems too."""

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Begin a connection; each answer leaves in one piece."""
        super().connection_made(Corked(transport))

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close."""
        request_id = choose_request_id([])
        body = problem_of_status(400, {}).body(request_id)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
            "server-timing: predict;dur=0\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class DrainingServer(Server):
    """
    A server that answers everything it has accepted before it stops.

    uvicorn closes idle kept-alive connections at once, and with each the request
    that is on its way there. Here each gets its answer, and with it the word that
    the connection ends.

    Parameters
    ----------
    config : Config
        Of uvicorn.
    lifecycle : Lifecycle
        Shared with the application.
    """

    def __init__(self, config: Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal, stop at once."""
        # uvicorn's own would raise the signal again after a clean end.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then let uvicorn finish what is left within the grace time."""
        self._lifecycle.draining = True
        end = monotonic() + (self.config.timeout_graceful_shutdown or 0)
        for listener in sockets or []:
            await self._empty(listener)
        for server in self.servers:
            server.close()
        await self._wait_for_quiet(end)
        self.config.timeout_graceful_shutdown = max(0, round(end - monotonic()))
        await super().shutdown(sockets)

    async def _empty(self, listener: socket.socket) -> None:
        # A listener closed with connections in its queue resets them.
        listener.listen(0)
        while not self.force_exit and select([listener], [], [], 0)[0]:
            await asyncio.sleep(TICK_S)

    async def _wait_for_quiet(self, end: float) -> None:
        answered, since = self._lifecycle.answered, monotonic()
        while self.server_state.connections and not self.force_exit:
            now = monotonic()
            if self._lifecycle.answered != answered:
                answered, since = self._lifecycle.answered, now
            if now >= end or now - since >= QUIET_S:
                return
            await asyncio.sleep(TICK_S)


def open_listener(host: str, port: int, which: str = "") -> socket.socket:
    """
    Return a socket that listens.

    Parameters
    ----------
    host, port : str, int
        Where.
    which : str
        What the settings of the two begin with, such as ``PRIVATE_``.

    Raises
    ------
    ListenerBusy
        If the address is taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # socket puts the address into the text; we have it already.
        reason = (error.strerror or "not an address").split(" (")[0].lower()
        raise ListenerBusy(
            f"cannot listen on {host} port {port}: {reason}; "
            f"free it, or set IRIS_API_{which}HOST or IRIS_API_{which}PORT"
        ) from None


def build_server(
    gateway: Gateway, lifecycle: Lifecycle, grace_s: int
) -> DrainingServer:
    """
    Return a server of one process, to be run on an open listener.

    Parameters
    ----------
    gateway : Gateway
        The application.
    lifecycle : Lifecycle
        The one that the application looks at.
    grace_s : int
        Seconds that requests in flight get when it is stopped.
    """
    config = Config(
        gateway,
        http=Protocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace_s,
    )
    return DrainingServer(config, lifecycle)
