"""The router process, wired: what it is made of, and how it starts and stops."""

import asyncio
import resource

import uvloop
from loguru import logger

from shadow_router.app import RouterApp
from shadow_router.books import RouterBooks, RunState
from shadow_router.crowd import Crowd
from shadow_router.directory import prepare_directory, socket_path
from shadow_router.http_client import HttpClient, parse_origin
from shadow_router.mirror import Mirror, Selection
from shadow_router.processes import rules_of, settle_memory, stop_event
from shadow_router.server import WebServer, bind
from shadow_router.settings import Settings
from shadow_router.shedding import Shedder
from shadow_router.switches import Switches

_SHED_EVERY_S = 1.0
#: Files, the socket between the processes, and what Python itself holds open.
_SPARE_DESCRIPTORS = 128


def run_router(settings: Settings, lifeline: int | None) -> None:
    """Run the router process until it is told to stop."""
    uvloop.run(_router(settings, lifeline))


def _raise_descriptor_limit(connections: int) -> None:
    # Each connection of a client may need one to live.
    wanted = 2 * connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("{} descriptors allowed, {} wanted", allowed, wanted)


async def _router(settings: Settings, lifeline: int | None) -> None:
    stopped, _ = stop_event(lifeline)
    rules = rules_of(settings)
    directory = prepare_directory(settings.data_dir)
    meeting = socket_path(directory)
    listener = bind(
        settings.public_host, settings.public_port, "SHADOW_ROUTER_PUBLIC_PORT"
    )
    _raise_descriptor_limit(settings.connections)
    switches = Switches(directory, settings.sample_rate)
    switches.adopt(settings.sample_rate)
    if switches.state.is_closed:
        logger.warning("this run is closed: nothing is copied")
    books = RouterBooks(directory)
    live = HttpClient(parse_origin(settings.live_url), settings.live_timeout_s)
    mirror = Mirror(settings, books, meeting)
    selection = Selection(settings, rules, switches)
    shedder = Shedder(settings.shed_ratio)
    app = RouterApp(settings, live, selection, mirror, shedder, books)
    crowd = Crowd(settings.connections, settings.body_cap_bytes, books.count_refused)
    server = WebServer(app, listener, crowd)
    await server.start()
    settle_memory()
    handing = asyncio.create_task(mirror.run())
    shedding = asyncio.create_task(_shed(shedder, selection, books))
    host, port = listener.getsockname()[:2]
    logger.info("router: http://{}:{} -> {}", host, port, settings.live_url)
    await stopped.wait()
    await server.stop(app.announce_stop, settings.grace_s)
    is_settled = await mirror.drain(settings.grace_s)
    handing.cancel()
    shedding.cancel()
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
