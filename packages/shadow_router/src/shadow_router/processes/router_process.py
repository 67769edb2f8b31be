"""The router process, wired: what it is made of, and how it starts and stops."""

import asyncio
import contextlib

import uvloop
from loguru import logger

from shadow_router.errors import StoreAway
from shadow_router.hosts import guard_listener, url_of
from shadow_router.http.crowd import Crowd
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.processes.processes import (
    room_for_clients,
    rules_of,
    settle_memory,
    stop_event,
)
from shadow_router.processes.server import WebServer, bind
from shadow_router.router.app import RouterApp
from shadow_router.router.mirror import Mirror, Selection
from shadow_router.router.shedding import Shedder
from shadow_router.run.books import RouterBooks, RunState
from shadow_router.run.directory import prepare_directory, socket_path
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings

_SHED_EVERY_S = _KEEP_EVERY_S = 1.0
#: Listener, books and switches, the socket between the processes, the event loop.
_RESERVED_DESCRIPTORS = 24


def run_router(settings: Settings, lifeline: int | None) -> None:
    """Run the router process until it is told to stop."""
    uvloop.run(_router(settings, lifeline))


async def _router(settings: Settings, lifeline: int | None) -> None:
    stopped, _ = stop_event(lifeline)
    # Each connection of a client may need one to live.
    room = room_for_clients(settings, each=2, reserved=_RESERVED_DESCRIPTORS)
    rules = rules_of(settings)
    directory = settings.data_dir
    # A disk that has no room for a folder keeps no client from being served.
    with contextlib.suppress(StoreAway):
        prepare_directory(directory)
    meeting = socket_path(directory)
    listener = bind(
        settings.public_host, settings.public_port, "SHADOW_ROUTER_PUBLIC_PORT"
    )
    switches = Switches(directory, settings.sample_rate, is_patient=True)
    switches.adopt(settings.sample_rate)
    if switches.state.is_closed:
        logger.warning("this run is closed: nothing is copied")
    books = RouterBooks(directory)
    live = HttpClient(parse_origin(settings.live_url), settings.live_timeout_s)
    mirror = Mirror(settings, books, meeting)
    selection = Selection(settings, rules, switches)
    shedder = Shedder(settings.shed_ratio)
    guard = guard_listener(listener, settings.public_host, settings.allowed_hosts)
    app = RouterApp(settings, live, selection, mirror, shedder, books, guard)
    refused = books.count_refused
    crowd = Crowd(room.connections, settings.body_cap_bytes, refused, room.spare)
    server = WebServer(app, listener, crowd)
    await server.start()
    settle_memory()
    handing = asyncio.create_task(mirror.run())
    shedding = asyncio.create_task(_shed(shedder, selection, books))
    keeping = asyncio.create_task(_keep(books, switches))
    here = url_of(*listener.getsockname()[:2])
    logger.info("router: {} -> {}", here, settings.live_url)
    await stopped.wait()
    await server.stop(app.announce_stop, settings.grace_s)
    is_settled = await mirror.drain(settings.grace_s)
    for task in (handing, shedding, keeping):
        task.cancel()
    # A thread may still be at the books' disk.
    await asyncio.wait([keeping])
    live.close()
    books.close(RunState.SETTLED if is_settled else RunState.UNCONFIRMED)
    logger.info("router: stopped")


async def _shed(shedder: Shedder, selection: Selection, books: RouterBooks) -> None:
    while True:
        await asyncio.sleep(_SHED_EVERY_S)
        before, share = shedder.share, shedder.close_window()
        if share != before:
            selection.shed(share)
            books.note_shed(1 - share)
            logger.warning("live's p99: {:.0%} of the copies go", share)


async def _keep(books: RouterBooks, switches: Switches) -> None:
    """Have the books on the disk every second, and what had no room there before."""
    while True:
        await asyncio.sleep(_KEEP_EVERY_S)
        books.keep()
        switches.keep()
        await asyncio.to_thread(books.sync)
