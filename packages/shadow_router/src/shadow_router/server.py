"""Uvicorn as this package uses it: quiet, on a socket of ours, stopped in order."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shadow_router.asgi import App
from shadow_router.errors import PortBusy
from shadow_router.forwarding import TARGET

#: Longer than the idle time of the load balancers in front of us (60 s is usual):
#: the side that closes first must not be the one that receives requests.
_KEEP_ALIVE_S = 75
#: How long kept-alive connections may bring one more request during a stop.
_LINGER_S = 1.0
_ACCEPT_S = 0.05


class _Protocol(HttpToolsProtocol):
    """Keeps the request target as the client wrote it (`/a?` is not `/a`)."""

    def on_headers_complete(self) -> None:
        # An extension's value is a dictionary by the type, but ours alone reads it.
        self.scope["extensions"] = {TARGET: self.url}  # type: ignore[dict-item]
        super().on_headers_complete()


class _Server(uvicorn.Server):
    """Leaves signals to the process that owns the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int, setting: str) -> socket.socket:
    """
    Return a listening socket.

    Raises
    ------
    PortBusy
        If the address cannot be had; names the setting that chooses it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Bound sockets may share an address until one of them listens.
        listener.listen(2048)
    except OSError:
        listener.close()
        raise PortBusy(host, port, setting) from None
    listener.setblocking(False)
    return listener


class WebServer:
    """One ASGI app on one listening socket."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._listener = listener
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept; returns once the server does."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    async def stop(self, announce: Callable[[], None], grace_s: float) -> None:
        """
        Stop so that no request that was sent stays unanswered.

        Parameters
        ----------
        announce : callable
            Makes the app say `Connection: close` on every answer from now on.
        grace_s : float
            Seconds for requests in flight; those that remain are cancelled.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + grace_s
        announce()
        # Clients that are already in the accept queue are still served; without the
        # pause, closing the listener would reset them.
        self._listener.listen(0)
        await asyncio.sleep(_ACCEPT_S)
        for server in self._server.servers:
            server.close()
        lingers = min(ends, loop.time() + _LINGER_S)
        while self._server.server_state.connections and loop.time() < lingers:
            await asyncio.sleep(0.01)
        rest = max(ends - loop.time(), 0.1)
        # The annotation says int; the value goes to asyncio.wait_for as it is.
        self._server.config.timeout_graceful_shutdown = rest  # type: ignore[assignment]
        self._server.should_exit = True
        if self._task is not None:
            await self._task
