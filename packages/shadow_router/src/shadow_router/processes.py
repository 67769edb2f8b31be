"""The two processes, wired: what each is made of, and how each starts and stops."""

import asyncio
import signal
from datetime import UTC, datetime

import uvloop
from loguru import logger

from shadow_router.app import RouterApp
from shadow_router.books import RouterBooks, RunState
from shadow_router.collector import Collector
from shadow_router.directory import DirectoryLock, prepare_directory, socket_path
from shadow_router.http_client import HttpClient, parse_origin
from shadow_router.mirror import Mirror, Selection
from shadow_router.report import PrivateApp
from shadow_router.rules import DEFAULT, Rules
from shadow_router.server import WebServer, bind
from shadow_router.settings import Settings
from shadow_router.shadow_call import ShadowCaller
from shadow_router.store import Keep, Store


def run_router(settings: Settings, lifeline: int | None) -> None:
    """Run the router process until it is told to stop."""
    uvloop.run(_router(settings, lifeline))


def run_collector(settings: Settings, lifeline: int | None) -> None:
    """Run the collector process until it is told to stop."""
    uvloop.run(_collector(settings, lifeline))


def keep_of(settings: Settings) -> Keep:
    """Return how much the store keeps by the settings."""
    return Keep(
        comparisons=settings.keep_comparisons,
        discrepancies=settings.keep_discrepancies,
        body_bytes=settings.keep_body_bytes,
        days=settings.keep_days,
        inputs=settings.keep_inputs,
    )


def rules_of(settings: Settings) -> Rules:
    """
    Return the rules that the settings name.

    Raises
    ------
    RulesInvalid
        If their file is wrong, or an ignore rule in it has expired.
    """
    if settings.rules is None:
        return DEFAULT
    # Without a rule file nothing needs a YAML library.
    from shadow_router.rule_file import load_rules

    return load_rules(settings.rules, datetime.now(UTC).date())


def _stop_event(lifeline: int | None) -> tuple[asyncio.Event, asyncio.Event]:
    """Return events for being told to stop, and for having lost the parent."""
    loop = asyncio.get_running_loop()
    stopped, orphaned = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if lifeline is not None:

        def parent_ended() -> None:
            # Nothing is ever written to the pipe: readable means it has ended.
            loop.remove_reader(lifeline)
            orphaned.set()
            stopped.set()

        loop.add_reader(lifeline, parent_ended)
    return stopped, orphaned


async def _router(settings: Settings, lifeline: int | None) -> None:
    stopped, _ = _stop_event(lifeline)
    rules = rules_of(settings)
    directory = prepare_directory(settings.data_dir)
    meeting = socket_path(directory)
    listener = bind(
        settings.public_host, settings.public_port, "SHADOW_ROUTER_PUBLIC_PORT"
    )
    books = RouterBooks(directory)
    live = HttpClient(parse_origin(settings.live_url))
    mirror = Mirror(settings, books, meeting)
    selection = Selection(settings, rules)
    app = RouterApp(settings, live, selection, mirror, books)
    server = WebServer(app, listener)
    await server.start()
    handing = asyncio.create_task(mirror.run())
    host, port = listener.getsockname()[:2]
    logger.info("router: http://{}:{} -> {}", host, port, settings.live_url)
    await stopped.wait()
    await server.stop(app.announce_stop, settings.grace_s)
    is_settled = await mirror.drain(settings.grace_s)
    handing.cancel()
    live.close()
    books.close(RunState.SETTLED if is_settled else RunState.UNCONFIRMED)
    logger.info("router: stopped")


async def _collector(settings: Settings, lifeline: int | None) -> None:
    stopped, orphaned = _stop_event(lifeline)
    rules = rules_of(settings)
    directory = prepare_directory(settings.data_dir)
    meeting = socket_path(directory)
    # Held in a variable until the end: the lock lives as long as its file is open.
    lock = DirectoryLock(directory)
    listener = bind(
        settings.private_host, settings.private_port, "SHADOW_ROUTER_PRIVATE_PORT"
    )
    store = Store(directory, settings.store_url, keep_of(settings))
    store.note_rules(rules)
    shadow = HttpClient(parse_origin(settings.shadow_url))
    caller = ShadowCaller(settings, shadow)
    collector = Collector(settings, rules, directory, store, caller)
    await collector.start(meeting)
    report = PrivateApp(settings, directory, lambda: collector.has_router)
    server = WebServer(report, listener)
    await server.start()
    host, port = listener.getsockname()[:2]
    logger.info("collector: report on http://{}:{}/", host, port)
    await stopped.wait()
    if orphaned.is_set():
        # The router has lost its parent too and is handing over what it has left.
        await _wait_for_routers(collector, settings.grace_s)
    await server.stop(lambda: None, grace_s=0.5)
    await collector.stop(settings.grace_s)
    shadow.close()
    store.close()
    lock.release()
    logger.info("collector: stopped")


async def _wait_for_routers(collector: Collector, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 2 * grace_s
    while collector.has_router and loop.time() < deadline:
        await asyncio.sleep(0.02)
