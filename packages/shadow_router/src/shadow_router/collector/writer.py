"""
Batching on the way to the store, so that the loop never waits for a disk.

A batch that the store refuses is lost, and counted. One whose end is not known, since
the store went away in the middle, is held until the store says whether it has it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic
from typing import TypeVar

from loguru import logger

from shadow_router.run.books import Page
from shadow_router.store import Batch, Joined, Labelling, Store, StoreFailed, TrueLabel
from shadow_router.values import Comparison, Fate, Flow, Lane

#: A batch is written this long after its first comparison: most of what a small one
#: costs is statements and pages that a large one needs as well.
_BATCH_S = 0.1
#: How often gauges are written when nothing else is.
_GAUGES_S = 0.25
#: What may wait while the store is busy; beyond it comparisons are dropped.
BACKLOG = 10_000
BACKLOG_BYTES = 64 * 1024 * 1024
#: How often the store is asked again once it has gone away.
_AWAY_S = 0.25
_PRUNE_S = 1.0
#: Files of the routers are written at least this often, changed or not.
_HEARTBEAT_S = 15.0

_T = TypeVar("_T")


class Writer:
    """
    Gathers comparisons and commits them from a thread of its own.

    Parameters
    ----------
    store : Store
        Used by the thread alone once `run` has begun.
    read_flows : callable
        Returns the gauges of every connected router; called in the loop, in the
        same step in which a batch is cut, so that gauges and batch agree.
    on_lost : callable
        Told how many comparisons of which router could not be stored.
    read_pages : callable
        Returns what the routers' files say; called in the thread, after the gauges
        were read, and only for a store that others share.
    """

    def __init__(
        self,
        store: Store,
        read_flows: Callable[[], Mapping[str, Flow]],
        on_lost: Callable[[str, int], None],
        read_pages: Callable[[], Sequence[Page]],
    ) -> None:
        self._store = store
        self._read_flows = read_flows
        self._on_lost = on_lost
        self._read_pages = read_pages
        self._pages: Sequence[Page] = ()
        self._heartbeat_due = self._prune_due = 0.0
        self._comparisons: list[Comparison] = []
        self._bytes = 0
        self._counts: Counter[tuple[str, Fate]] = Counter()
        self._trials: Counter[tuple[Lane, str, bool]] = Counter()
        self._written: Mapping[str, Flow] = {}
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._is_closing = False
        self._thread = ThreadPoolExecutor(1, "store")

    def add(self, comparison: Comparison) -> None:
        """Take a comparison to be stored."""
        size = _size(comparison)
        # What is no evidence leaves at least half of the place to what is.
        share = 1 if comparison.is_evidence else 2
        is_full = self._bytes + size > BACKLOG_BYTES // share
        if is_full or len(self._comparisons) >= BACKLOG // share:
            self._leave_out(comparison)
            return
        self._comparisons.append(comparison)
        self._bytes += size
        self._wanted.set()

    def _leave_out(self, comparison: Comparison) -> None:
        if comparison.is_evidence:
            self._on_lost(comparison.router_id, 1)
        else:
            self.count(comparison.router_id, Fate.SKIPPED_LIVE_FAILED)

    def count(self, router_id: str, fate: Fate, n: int = 1) -> None:
        """Take a fate that leaves no row."""
        self._counts[router_id, fate] += n
        self._wanted.set()

    def note_trial(self, lane: Lane, name: str, is_good: bool) -> None:
        """Take what came of one trial of a lane; written with the next batch."""
        self._trials[lane, name, is_good] += 1

    async def run(self) -> None:
        """Write batches until `close`; cancelling it would lose sight of one."""
        while not self._is_closing:
            try:
                await asyncio.wait_for(self._wanted.wait(), _GAUGES_S)
                await asyncio.sleep(_BATCH_S)
            except TimeoutError:
                pass
            if not self._is_closing:
                await self.flush()
                await self._prune()

    async def flush(self) -> None:
        """Return once everything taken so far is stored or counted as lost."""
        async with self._turn:
            self._wanted.clear()
            flows = dict(self._read_flows())
            changed = {k: v for k, v in flows.items() if self._written.get(k) != v}
            batch = Batch(self._comparisons, self._counts, changed, self._trials)
            self._comparisons, self._counts, self._bytes = [], Counter(), 0
            self._trials = Counter()
            if await self._write(batch):
                self._written = flows

    async def finalise(
        self, router_id: str, received: int, fates: Mapping[Fate, int], crashed: int
    ) -> None:
        """Have the store take over the books of a router; StoreFailed if it cannot."""
        async with self._turn:
            work = (router_id, received, fates, crashed)
            await self._in_thread(lambda: self._store.finalise(*work))

    async def note_identity(self, role: str, digest: str) -> bool:
        """Have the store keep a digest; return whether it could."""
        async with self._turn:
            try:
                await self._in_thread(lambda: self._store.note_identity(role, digest))
            except StoreFailed as error:
                logger.error("a digest is not stored: {}", type(error).__name__)
                return False
        return True

    async def join_labels(self, given: Sequence[TrueLabel]) -> Joined:
        """Have the store join true labels; StoreFailed if it cannot."""
        # Behind what is taken already: a label may follow its answer at once.
        await self.flush()
        loop = asyncio.get_running_loop()
        async with self._turn:
            work = self._store.join_labels
            return await loop.run_in_executor(self._thread, work, given)

    async def undo_labels(self, given: Sequence[Labelling]) -> int:
        """Have the store take labels back; StoreFailed if it cannot."""
        async with self._turn:
            return await self._in_thread(lambda: self._store.undo_labels(given))

    async def close(self) -> None:
        """Flush and let the thread end."""
        self._is_closing = True
        self._wanted.set()
        await self.flush()
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(self, batch: Batch) -> bool:
        """Return whether a batch is stored; whatever else happens, it is counted."""
        while True:
            try:
                await self._in_thread(lambda: self._commit(batch))
                return True
            except Exception as error:
                logger.error("the store refused a batch: {}", type(error).__name__)
            was_away, is_stored = await self._find_out()
            if is_stored:
                return True
            if not was_away:
                self._lose(batch)
                return False

    def _commit(self, batch: Batch) -> None:
        if self._store.is_shared:
            pages = self._read_pages()
            if pages != self._pages or monotonic() > self._heartbeat_due:
                batch = replace(batch, pages=pages)
        if batch.holds_anything:
            self._store.write(batch)
        if batch.pages:
            self._pages = batch.pages
            self._heartbeat_due = monotonic() + _HEARTBEAT_S

    async def _find_out(self) -> tuple[bool, bool]:
        """Return whether the store was away, and whether it has the batch after all."""
        was_away = False
        while True:
            try:
                return was_away, await self._in_thread(self._store.has_written)
            except Exception as error:
                if not was_away:
                    logger.error("the store is away: {}", type(error).__name__)
            was_away = True
            await asyncio.sleep(_AWAY_S)

    def _lose(self, batch: Batch) -> None:
        lost = Counter(item.router_id for item in batch.comparisons)
        for (router_id, _), n in batch.counts.items():
            lost[router_id] += n
        for router_id, n in lost.items():
            self._on_lost(router_id, n)

    async def _prune(self) -> None:
        if self._is_closing or monotonic() < self._prune_due:
            return
        is_more = False
        try:
            async with self._turn:
                is_more = await self._in_thread(self._store.prune)
        except Exception as error:  # what is kept too long harms nobody today
            logger.error("nothing was pruned: {}", type(error).__name__)
        self._prune_due = 0.0 if is_more else monotonic() + _PRUNE_S


def _size(comparison: Comparison) -> int:
    shadow = comparison.shadow
    bodies = len(comparison.exchange.request_body) + len(comparison.live.body)
    return bodies + (len(shadow.body) if shadow else 0)
