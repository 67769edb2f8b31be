"""
The other half of the router, in its own process: call the shadow, compare, store.

It keeps, for each router, how many exchanges it took and how many of those are still
open. Together with the committed fates they account for everything handed to it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from loguru import logger

from shadow_router.collector.lanes import SelfTest
from shadow_router.collector.recorder import Recorder
from shadow_router.collector.sending import Sender
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.collector.writer import Writer
from shadow_router.compare.comparisons import comparison_of, failed
from shadow_router.errors import FrameInvalid
from shadow_router.redaction.redaction import Redactor
from shadow_router.rules.rules import Rules
from shadow_router.run.accounts import read_pages
from shadow_router.run.books import SUFFIX, WriterTally, find_books, read_page
from shadow_router.run.frames import Hello, Intake, decode_exchange, decode_hello
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.store import Joined, Labelling, Store, StoreFailed, TrueLabel
from shadow_router.values import Difference, Exchange, Fate, Flow

# Few: what waits for a slow shadow should wait in the router's bounded queue.
_MOST_WAITING = 64
_FINALISE_EVERY_S = 1.0


@dataclass(slots=True)
class _Router:
    """What the collector knows of one router process."""

    id: str
    tally: WriterTally
    taken: int = 0
    open: int = 0
    is_connected: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Collector:
    """Takes exchanges from routers and sees each of them to exactly one fate."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        directory: Path,
        store: Store,
        caller: ShadowCaller,
        switches: Switches,
        key: bytes,
        recorder: Recorder | None = None,
    ) -> None:
        self._directory = directory
        self._store = store
        self._sender = Sender(settings, caller, switches)
        self._rules = rules
        self._redactor = Redactor(rules, key)
        self._recorder = recorder
        self._most_workers = settings.shadow_concurrency
        self._routers: dict[str, _Router] = {}
        self._waiting: deque[tuple[_Router, bytes]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._paused: set[Intake] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._background: list[asyncio.Task[None]] = []
        read = partial(read_pages, directory, ())
        self._writer = Writer(store, self._flows, self._lose, read)
        seed = store.begin_lanes(settings.noise_share, settings.mutant_share)
        self._lanes = SelfTest(settings, seed, rules, self._writer.note_trial)
        self._server: asyncio.Server | None = None
        self._socket: Path
        self._recording: asyncio.Task[None]

    @property
    def has_router(self) -> bool:
        """Return whether a router is connected now."""
        return any(router.is_connected for router in self._routers.values())

    @property
    def is_breaker_open(self) -> bool:
        """Return whether the shadow gets nothing but probes."""
        return self._sender.is_breaker_open

    async def start(self, socket: Path) -> None:
        """Settle what earlier processes left behind and begin to listen."""
        await self._finalise_ended()
        self._socket = socket
        socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: Intake(self._meet), str(socket)
        )
        self._background = [
            asyncio.create_task(self._writer.run()),
            asyncio.create_task(self._finalise_regularly()),
        ]
        if self._recorder is not None:
            self._recording = asyncio.create_task(self._recorder.run())

    async def stop(self, grace_s: float) -> None:
        """Finish what is open within the grace time, store it, close the books."""
        assert self._server is not None
        self._server.close()
        self._socket.unlink(missing_ok=True)
        writing, finalising = self._background
        finalising.cancel()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_s)
        while self._waiting:
            router, frame = self._waiting.popleft()
            self._writer.count(router.id, _fate_at_stop(frame))
            self._close_one(router)
        for working in list(self._workers):
            working.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        await self._lanes.stop()
        if self._recorder is not None:
            self._recording.cancel()
            await self._recorder.close()
        await self._writer.flush()
        await self._finalise_ended()
        await self._writer.close()
        await writing

    async def note_identity(self, role: str, digest: str) -> bool:
        """Keep the digest of an artefact; return whether it could be stored."""
        return await self._writer.note_identity(role, digest)

    async def join_labels(self, given: Sequence[TrueLabel]) -> Joined:
        """Join true labels to inputs; StoreFailed if the store cannot."""
        return await self._writer.join_labels(given)

    async def undo_labels(self, given: Sequence[Labelling]) -> int:
        """Take true labels back; StoreFailed if the store cannot."""
        return await self._writer.undo_labels(given)

    # One connection

    def _meet(self, intake: Intake) -> None:
        task = asyncio.create_task(self._serve_router(intake))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve_router(self, intake: Intake) -> None:
        try:
            greeting = await intake.greeting()
            if greeting is not None:
                await self._take_from(decode_hello(greeting), intake)
                # Everything taken is stored: the router may forget it.
                intake.confirm()
        except (FrameInvalid, FileNotFoundError, StoreFailed) as error:
            logger.warning("a router's connection ended: {}", type(error).__name__)
        except asyncio.CancelledError:
            # A stop: what was taken is settled by `stop`, the rest stays handed.
            pass
        finally:
            intake.close()

    async def _take_from(self, hello: Hello, intake: Intake) -> None:
        router = await self._known(hello.router_id)
        # An earlier connection of the same router is first seen to its end.
        async with router.turn:
            self._settle_crash(hello, router)
            router.is_connected = True
            try:
                await intake.hand_on(partial(self._take, router, intake))
            finally:
                router.is_connected = False
            await self._wait_idle(router)
            await self._writer.flush()

    async def _known(self, router_id: str) -> _Router:
        if router_id not in self._routers:
            tally = WriterTally(self._directory / f"{router_id}{SUFFIX}")
            settled, _ = await asyncio.to_thread(self._store.known_of, router_id)
            router = _Router(router_id, tally, taken=settled + tally.value)
            self._routers.setdefault(router_id, router)
        return self._routers[router_id]

    def _settle_crash(self, hello: Hello, router: _Router) -> None:
        """Give the exchanges that were handed but never arrived their fate."""
        lost = hello.handed - router.taken
        if lost > 0:
            logger.warning("{} exchanges were lost with a connection", lost)
            self._writer.count(hello.router_id, Fate.DROPPED_CRASH, lost)
            router.taken += lost

    def _take(self, router: _Router, intake: Intake, frame: bytes) -> None:
        router.taken += 1
        router.open += 1
        router.idle.clear()
        self._waiting.append((router, frame))
        if len(self._workers) < self._most_workers:
            self._workers.add(asyncio.create_task(self._work()))
        elif len(self._waiting) >= _MOST_WAITING:
            intake.pause()
            self._paused.add(intake)

    def _close_one(self, router: _Router) -> None:
        router.open -= 1
        if not router.open:
            router.idle.set()

    async def _wait_idle(self, router: _Router) -> None:
        while router.open:
            router.idle.clear()
            await router.idle.wait()

    # One exchange

    async def _work(self) -> None:
        """Judge one exchange after the other until none waits."""
        while self._waiting:
            router, frame = self._waiting.popleft()
            if self._paused and len(self._waiting) < _MOST_WAITING // 2:
                for intake in self._paused:
                    intake.resume()
                self._paused.clear()
            await self._judge(router, frame)
        # At once, and not by a callback, which comes a turn later: what is taken in
        # between would wait for workers that have ended, and nothing would start one.
        self._workers.discard(cast(asyncio.Task[None], asyncio.current_task()))

    async def _judge(self, router: _Router, frame: bytes) -> None:
        exchange: Exchange | None = None
        try:
            exchange = self._redactor.with_client(decode_exchange(frame))
            if self._recorder is not None:
                self._recorder.add(self._redactor.exchange(exchange))
            answer = await self._sender.send(exchange)
            if isinstance(answer, Fate):
                self._writer.count(router.id, answer)
                return
            key = self._redactor.digest_key
            found = comparison_of(router.id, exchange, answer, self._rules, key)
            self._lanes.look(found)
            self._sender.watch(found)
            self._writer.add(self._redactor.comparison(found))
        except asyncio.CancelledError:
            self._writer.count(router.id, _fate_at_stop(frame))
        except Exception as error:
            # A fault of ours must not pass for one of the shadow's.
            logger.error("a comparison failed: {}", type(error).__name__)
            difference = Difference(Fate.INTERNAL_ERROR, type(error).__name__)
            self._writer.add(failed(router.id, exchange, difference))
        finally:
            self._close_one(router)

    # Books

    def _flows(self) -> dict[str, Flow]:
        return {
            router_id: Flow(router.taken, router.open, router.tally.value)
            for router_id, router in self._routers.items()
        }

    def _lose(self, router_id: str, n: int) -> None:
        self._routers[router_id].tally.add(n)

    async def _finalise_regularly(self) -> None:
        while True:
            await asyncio.sleep(_FINALISE_EVERY_S)
            await self._finalise_ended()

    async def _finalise_ended(self) -> None:
        for path in find_books(self._directory):
            try:
                await self._finalise(path)
            except (StoreFailed, OSError) as error:
                logger.error("books stay open: {}", type(error).__name__)

    async def _finalise(self, path: Path) -> None:
        """Take over the file of a router that has ended, and remove it."""
        page = await asyncio.to_thread(read_page, path)
        if page is not None:
            self._lanes.watch(page)
        if page is None or page.is_alive or not page.is_on_record:
            return
        router = self._routers.get(page.router_id)
        if router is not None:
            if router.is_connected or router.open or router.turn.locked():
                return
            await self._writer.flush()
        settled, unstored = await asyncio.to_thread(
            self._store.known_of, page.router_id
        )
        # After a power cut a file may be older than the store: neither forgets.
        unstored = max(page.dropped_writer, unstored)
        crashed = page.received - page.decided - unstored - settled
        if crashed < 0:
            said = "the books of router {} are older than the store; {} more received"
            logger.warning(said, page.router_id, -crashed)
        received = page.received + max(-crashed, 0)
        fates = {**page.fates, Fate.DROPPED_WRITER: unstored}
        await self._writer.finalise(page.router_id, received, fates, max(crashed, 0))
        if router is not None:
            self._routers.pop(page.router_id).tally.close()
        path.unlink(missing_ok=True)


def _fate_at_stop(frame: bytes) -> Fate:
    try:
        is_lost = decode_exchange(frame).may_be_evidence
    except FrameInvalid:
        is_lost = True
    return Fate.DROPPED_SHUTDOWN if is_lost else Fate.SKIPPED_LIVE_FAILED
