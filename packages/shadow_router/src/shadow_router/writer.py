"""Batching on the way to the store, so that the loop never waits for a disk."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from loguru import logger

from shadow_router.records import Comparison, Fate, Flow, Lane
from shadow_router.store import Batch, Joined, Store, StoreFailed, TrueLabel

#: A batch is written this long after its first comparison.
_BATCH_S = 0.03
#: How often gauges are written when nothing else is.
_GAUGES_S = 0.25
#: Comparisons that may wait while the store is busy; beyond it they are dropped.
BACKLOG = 10_000


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
    """

    def __init__(
        self,
        store: Store,
        read_flows: Callable[[], Mapping[str, Flow]],
        on_lost: Callable[[str, int], None],
    ) -> None:
        self._store = store
        self._read_flows = read_flows
        self._on_lost = on_lost
        self._comparisons: list[Comparison] = []
        self._counts: Counter[tuple[str, Fate]] = Counter()
        self._trials: Counter[tuple[Lane, str, bool]] = Counter()
        self._written: Mapping[str, Flow] = {}
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._is_closing = False
        self._thread = ThreadPoolExecutor(1, "store")

    def add(self, comparison: Comparison) -> None:
        """Take a comparison to be stored."""
        if len(self._comparisons) >= BACKLOG:
            self._on_lost(comparison.router_id, 1)
            return
        self._comparisons.append(comparison)
        self._wanted.set()

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
            await self.flush()

    async def flush(self) -> None:
        """Return once everything taken so far is stored or counted as lost."""
        async with self._turn:
            self._wanted.clear()
            flows = dict(self._read_flows())
            changed = {k: v for k, v in flows.items() if self._written.get(k) != v}
            if not (self._comparisons or self._counts or self._trials or changed):
                return
            batch = Batch(self._comparisons, self._counts, changed, self._trials)
            self._comparisons, self._counts = [], Counter()
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

    async def close(self) -> None:
        """Flush and let the thread end."""
        self._is_closing = True
        self._wanted.set()
        await self.flush()
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(self, batch: Batch) -> bool:
        try:
            await self._in_thread(lambda: self._store.write(batch))
            return True
        except Exception as error:  # whatever it was, the batch is counted as lost
            logger.error("the store refused a batch: {}", type(error).__name__)
        lost = Counter(item.router_id for item in batch.comparisons)
        for (router_id, _), n in batch.counts.items():
            lost[router_id] += n
        for router_id, n in lost.items():
            self._on_lost(router_id, n)
        return False
