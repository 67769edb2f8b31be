"""The collector process, wired: what it is made of, and how it starts and stops."""

import asyncio
import contextlib
import os
from pathlib import Path

import uvloop
from loguru import logger

from shadow_router.collector.collector import Collector
from shadow_router.collector.identities import IdentityWatch, watched
from shadow_router.collector.recorder import open_recorder
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.errors import SettingsInvalid, StoreAway
from shadow_router.findings.summary import count_now
from shadow_router.hosts import guard_listener, url_of
from shadow_router.http.crowd import Crowd
from shadow_router.http.descriptors import Room, make_room
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.private.controls import Controls, prepare_keys
from shadow_router.private.labels import Labels
from shadow_router.private.marks import Marks
from shadow_router.private.report import PrivateApp
from shadow_router.processes.processes import (
    room_for_clients,
    rules_of,
    settle_memory,
    stop_event,
)
from shadow_router.processes.server import WebServer, bind
from shadow_router.rules.rules import Rules
from shadow_router.run.changes import ChangeLog
from shadow_router.run.directory import (
    DirectoryLock,
    fault_of,
    prepare_directory,
    socket_path,
    warn_if_open,
)
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.store import Keep, Store
from shadow_router.watch.drift_watch import DriftWatch
from shadow_router.watch.hour import Hour

#: How much the collector yields to live and router when they share a machine.
_NICENESS = 5
#: Listeners, locks, routers, the store and six who read it at once, a recording, and
#: what live and shadow are asked beside the copies.
_RESERVED_DESCRIPTORS = 40
_GUARD_EVERY_S = 1.0


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


def _share_descriptors(settings: Settings) -> tuple[Settings, Room]:
    """Return for how many calls of the shadow and clients there are descriptors."""
    wanted = settings.shadow_concurrency
    # Half of what is left for the shadow, where that is less than it may have.
    least = make_room(2 * wanted, reserved=_RESERVED_DESCRIPTORS).connections
    calls = max(1, min(wanted, least // 2))
    if calls < wanted:
        logger.warning("descriptors allow {} copies at once, not {}", calls, wanted)
    room = room_for_clients(settings, reserved=_RESERVED_DESCRIPTORS + calls)
    return settings.model_copy(update={"shadow_concurrency": calls}), room


def _yield_to_others() -> None:
    os.nice(_NICENESS)
    # Linux weighs sessions before processes: without this, the niceness of one that
    # has a session of its own, as under `serve`, would count for nothing.
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICENESS))


async def _collector(settings: Settings, lifeline: int | None) -> None:
    stopped, orphaned = stop_event(lifeline)
    settings, room = _share_descriptors(settings)
    rules = rules_of(settings)
    directory = prepare_directory(settings.data_dir)
    meeting = socket_path(directory)
    warn_if_open(directory)
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
    shadow = HttpClient(parse_origin(settings.shadow_url), settings.shadow_timeout_s)
    caller = ShadowCaller(settings, shadow)
    switches = Switches(directory, settings.sample_rate)
    keys = prepare_keys(directory, settings.control_key_file)
    key = digest_key(settings, rules)
    if rules.redacts_anything:
        store.note_key(key)
    collector = Collector(
        settings, rules, directory, store, caller, switches, key, recorder
    )
    try:
        await collector.start(meeting)
    except OSError as error:
        raise fault_of(error, str(meeting)) from None
    settle_memory()
    guarding = asyncio.create_task(_guard(lock, stopped))
    identities = _identities(settings, rules, collector, switches)
    asking = asyncio.create_task(identities.run()) if watched(rules) else None
    hour = Hour(lambda: count_now(directory, settings.store_url))
    counting = asyncio.create_task(hour.run())
    client = HttpClient(parse_origin(settings.live_url))
    drift_watch = DriftWatch(client, tells_little=rules.withholds_inputs)
    watching = asyncio.create_task(drift_watch.run())
    report = PrivateApp(
        settings,
        directory,
        lambda: collector.has_router,
        lambda: collector.is_breaker_open,
        switches,
        Controls(switches, keys),
        Labels(
            keys, collector.join_labels, collector.undo_labels, ChangeLog(directory)
        ),
        Marks(keys, directory),
        hour,
        drift_watch,
        guard_listener(listener, settings.private_host, settings.allowed_hosts),
    )
    cap = settings.body_cap_bytes
    crowd = Crowd(room.connections, cap, lambda: None, room.spare)
    server = WebServer(report, listener, crowd)
    await server.start()
    here = url_of(*listener.getsockname()[:2])
    logger.info("collector: report on {}/, controls by {}", here, keys)
    await stopped.wait()
    if orphaned.is_set():
        # The router has lost its parent too and is handing over what it has left.
        await _wait_for_routers(collector, settings.grace_s)
    await server.stop(lambda: None, grace_s=0.5)
    for task in filter(None, (asking, counting, watching, guarding)):
        task.cancel()
        await asyncio.wait([task])
    identities.close()
    drift_watch.close()
    await collector.stop(settings.grace_s)
    shadow.close()
    store.close()
    is_gone = not lock.is_in_place
    lock.release()
    logger.info("collector: stopped")
    if is_gone:
        raise StoreAway(f"{directory} was removed while it was in use")


def digest_key(settings: Settings, rules: Rules) -> bytes:
    """
    Return what digests of inputs are keyed with where the rules redact.

    Raises
    ------
    SettingsInvalid
        If collectors share a store and none is set.
    """
    is_asked = settings.store_url is not None and rules.redacts_anything
    if is_asked and settings.input_key is None:
        # What one input is to one collector must be it to all.
        reason = "is needed where collectors share a store and the rules redact"
        raise SettingsInvalid(f"SHADOW_ROUTER_INPUT_KEY {reason}")
    return settings.digest_key


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


async def _guard(lock: DirectoryLock, stopped: asyncio.Event) -> None:
    """Stop once the data directory is no longer there: files in it are nobody's."""
    while lock.is_in_place:
        await asyncio.sleep(_GUARD_EVERY_S)
    stopped.set()


async def _wait_for_routers(collector: Collector, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 2 * grace_s
    while collector.has_router and loop.time() < deadline:
        await asyncio.sleep(0.02)
