"""
The server: uvicorn, with a way to stop that loses no request.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from select import select
from time import monotonic
from types import FrameType

from starlette.types import ASGIApp
from uvicorn import Config, Server

from iris_api.errors import ListenerBusy
from iris_api.http.crowd import TICK_S, Crowd
from iris_api.http.descriptors import Room
from iris_api.http.heartbeat import Heartbeat
from iris_api.http.holder import holder_of
from iris_api.http.protocol import Protocol
from iris_api.lifecycle import Lifecycle
from iris_api.settings import Settings

BACKLOG = 2048
DRAIN_TICK_S = 0.02
# Kept-alive clients that have not sent anything for this long are let go.
QUIET_S = 1.0


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
    crowd : Crowd
        Will hold the connections.
    heartbeat : Heartbeat
        Ends the process when the event loop hangs.
    """

    def __init__(
        self, config: Config, lifecycle: Lifecycle, crowd: Crowd, heartbeat: Heartbeat
    ) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self.server_state = self._crowd = crowd
        self._heartbeat = heartbeat

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        with self._heartbeat:
            self._tick(asyncio.get_running_loop())
            await super().serve(sockets)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(TICK_S, self._tick, loop)
        self._heartbeat.beat()
        self._crowd.grow_older()

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
            await asyncio.sleep(DRAIN_TICK_S)

    async def _wait_for_quiet(self, end: float) -> None:
        answered, since = self._lifecycle.answered, monotonic()
        while self.server_state.connections and not self.force_exit:
            now = monotonic()
            if self._lifecycle.answered != answered:
                answered, since = self._lifecycle.answered, now
            if now >= end or now - since >= QUIET_S:
                return
            await asyncio.sleep(DRAIN_TICK_S)


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
        # `::` is every address, those of IPv4 as well.
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        # socket puts the address into the text; we have it already.
        reason = (error.strerror or "not an address").split(" (")[0].lower()
        if error.errno == errno.EADDRINUSE:
            reason = f"it is in use by {holder_of(host, port)}"
        else:
            reason += "; choose another"
        raise ListenerBusy(
            f"cannot listen on {host} port {port}: {reason}, "
            f"or set IRIS_API_{which}HOST or IRIS_API_{which}PORT"
        ) from None


def build_server(
    gateway: ASGIApp, lifecycle: Lifecycle, settings: Settings, room: Room
) -> DrainingServer:
    """
    Return a server of one process, to be run on an open listener.

    Parameters
    ----------
    gateway : ASGI application
        The application.
    lifecycle : Lifecycle
        The one that the application looks at.
    settings : Settings
        How long, and how patiently.
    room : Room
        How many connections.
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
        timeout_graceful_shutdown=settings.grace_s,
    )
    crowd = Crowd(room.connections, settings.idle_s, room.spare)
    return DrainingServer(config, lifecycle, crowd, Heartbeat(settings.hang_s))
