"""Uvicorn as this package uses it: quiet, on a socket of ours, stopped in order."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import uvicorn

from shadow_router.errors import PortBusy
from shadow_router.http.asgi import App
from shadow_router.http.crowd import TICK_S, Crowd
from shadow_router.http.holder import holder_of
from shadow_router.http.protocol import Protocol

#: How long kept-alive connections may bring one more request during a stop.
_LINGER_S = 1.0
_ACCEPT_S = 0.05


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
        If the address cannot be had; names who has it, and the setting.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Bound sockets may share an address until one of them listens.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"is in use by {holder_of(host, port)}"
        else:
            reason = f"cannot be listened on ({error.strerror}): choose another"
        raise PortBusy(host, port, setting, reason) from None
    listener.setblocking(False)
    return listener


class WebServer:
    """One ASGI app on one listening socket."""

    def __init__(self, app: App, listener: socket.socket, crowd: Crowd) -> None:
        self._listener = listener
        self._crowd = crowd
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        self._server = _Server(config)
        self._server.server_state = crowd
        self._ageing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept; returns once the server does."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)
        self._ageing = asyncio.create_task(self._grow_older())

    async def _grow_older(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._crowd.grow_older()

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
        if self._ageing is not None:
            self._ageing.cancel()
