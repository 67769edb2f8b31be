"""The two processes, wired: what each is made of, and how each starts and stops."""

import asyncio
import contextlib
import os
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from loguru import logger

from shadow_router.app import RouterApp
from shadow_router.books import RouterBooks, RunState
from shadow_router.collector import Collector
from shadow_router.controls import Controls, prepare_keys
from shadow_router.crowd import Crowd
from shadow_router.directory import (
    DirectoryLock,
    prepare_directory,
    read_key,
    socket_path,
)
from shadow_router.http_client import HttpClient, parse_origin
from shadow_router.identities import IdentityWatch, watched
from shadow_router.labels import Labels
from shadow_router.marks import Marks
from shadow_router.mirror import Mirror, Selection
from shadow_router.recorder import open_recorder
from shadow_router.report import PrivateApp
from shadow_router.rules import DEFAULT, Rules
from shadow_router.server import WebServer, bind
from shadow_router.settings import Settings
from shadow_router.shadow_call import ShadowCaller
from shadow_router.shedding import Shedder
from shadow_router.store import Keep, Store
from shadow_router.switches import Switches

#: How much the collector yields to live and router when they share a machine.
_NICENESS = 5
_SHED_EVERY_S = 1.0
#: Files, the socket between the processes, and what Python itself holds open.
_SPARE_DESCRIPTORS = 128


def run_router(settings: Settings, lifeline: int | None) -> None:
    """Run the router process until it is told to stop."""
    uvloop.run(_router(settings, lifeline))


def run_collector(settings: Settings, lifeline: int | None) -> None:
    """Run the collector process until it is told to stop."""
    _yield_to_others()
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


def _yield_to_others() -> None:
    os.nice(_NICENESS)
    # Linux weighs sessions before processes: without this, the niceness of one that
    # has a session of its own, as under `serve`, would count for nothing.
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICENESS))


def _raise_descriptor_limit(connections: int) -> None:
    # Each connection of a client may need one to live.
    wanted = 2 * connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("{} descriptors allowed, {} wanted", allowed, wanted)


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
    _raise_descriptor_limit(settings.connections)
    switches = Switches(directory, settings.sample_rate)
    switches.adopt(settings.sample_rate)
    if switches.state.is_closed:
        logger.warning("this run is closed: nothing is copied")
    books = RouterBooks(directory)
    live = HttpClient(parse_origin(settings.live_url))
    mirror = Mirror(settings, books, meeting)
    selection = Selection(settings, rules, switches)
    shedder = Shedder(settings.shed_ratio)
    app = RouterApp(settings, live, selection, mirror, shedder, books)
    crowd = Crowd(settings.connections, settings.body_cap_bytes, books.count_refused)
    server = WebServer(app, listener, crowd)
    await server.start()
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
    recorder = None
    if settings.record_dir is not None:
        caps = (settings.record_bytes, settings.record_days)
        recorder = open_recorder(settings.record_dir, rules, *caps)
    store = Store(directory, settings.store_url, keep_of(settings))
    store.note_rules(rules)
    shadow = HttpClient(parse_origin(settings.shadow_url))
    caller = ShadowCaller(settings, shadow)
    switches = Switches(directory, settings.sample_rate)
    keys = prepare_keys(directory, settings.control_key_file)
    key = read_key(directory)
    collector = Collector(
        settings, rules, directory, store, caller, switches, key, recorder
    )
    await collector.start(meeting)
    identities = _identities(settings, rules, collector, switches)
    asking = asyncio.create_task(identities.run()) if watched(rules) else None
    report = PrivateApp(
        settings,
        directory,
        lambda: collector.has_router,
        lambda: collector.is_breaker_open,
        switches,
        Controls(switches, keys),
        Labels(keys, collector.join_labels),
        Marks(keys, directory),
    )
    crowd = Crowd(settings.connections, settings.body_cap_bytes, lambda: None)
    server = WebServer(report, listener, crowd)
    await server.start()
    host, port = listener.getsockname()[:2]
    logger.info("collector: report on http://{}:{}/, controls by {}", host, port, keys)
    await stopped.wait()
    if orphaned.is_set():
        # The router has lost its parent too and is handing over what it has left.
        await _wait_for_routers(collector, settings.grace_s)
    await server.stop(lambda: None, grace_s=0.5)
    if asking is not None:
        asking.cancel()
        await asyncio.wait([asking])
    identities.close()
    await collector.stop(settings.grace_s)
    shadow.close()
    store.close()
    lock.release()
    logger.info("collector: stopped")


def _identities(
    settings: Settings, rules: Rules, collector: Collector, switches: Switches
) -> IdentityWatch:
    def may_ask(role: str) -> bool:
        # What spares the shadow spares it this question too.
        is_spared = switches.is_killed or collector.is_breaker_open
        return role == "live" or not is_spared

    urls = {"live": settings.live_url, "shadow": settings.shadow_url}
    clients = {role: HttpClient(parse_origin(url)) for role, url in urls.items()}
    note = collector.note_identity
    return IdentityWatch(clients, rules.identity, note, may_ask)


async def _wait_for_routers(collector: Collector, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 2 * grace_s
    while collector.has_router and loop.time() < deadline:
        await asyncio.sleep(0.02)
