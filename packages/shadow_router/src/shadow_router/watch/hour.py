"""
The last hour: what was counted every 20 seconds, and what came in between.

Kept in memory alone: the store has sums, and a collector that begins anew begins here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shadow_router.clocks import since_1970
from shadow_router.errors import ShadowRouterError
from shadow_router.store import LatencySums
from shadow_router.values import Fate
from shadow_router.verdict.latency import quantile_ms

HOUR_S, STEP_S = 3600.0, 20.0


@dataclass(frozen=True, slots=True)
class Count:
    """All that was counted up to a moment."""

    #: By a clock that is never set.
    at: float
    fates: Mapping[Fate, int]
    latencies: Sequence[LatencySums]


@dataclass(frozen=True, slots=True)
class Span:
    """What came between two counts, by the clock of these."""

    begin: float
    end: float
    fates: Mapping[Fate, int]
    #: By role, as the callers waited; None: no answer came.
    p99_ms: Mapping[str, float | None]


class Hour:
    """
    Counts of the last hour.

    Parameters
    ----------
    count : callable
        Returns what is counted now; may take its time, and may raise
        `ShadowRouterError` while the store is away.
    """

    def __init__(self, count: Callable[[], Count]) -> None:
        self._count = count
        self._counts: deque[Count] = deque(maxlen=int(HOUR_S / STEP_S) + 1)

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            try:
                self._counts.append(await asyncio.to_thread(self._count))
            except ShadowRouterError:
                # The next count tells what came meanwhile.
                pass
            await asyncio.sleep(STEP_S)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Return what came between the counts so far; moments in s since 1970."""
        now = since_1970(0.0)
        return spans([replace(one, at=one.at + now) for one in self._counts])


def spans(counts: Sequence[Count]) -> tuple[Span, ...]:
    """Return what came between counts, which are in order of time."""
    return tuple(
        Span(
            before.at,
            after.at,
            # Books that are taken over may be counted on neither side for a moment.
            {f: max(n - before.fates.get(f, 0), 0) for f, n in after.fates.items()},
            {role: _p99_ms(before, after, role) for role in ("live", "shadow")},
        )
        for before, after in zip(counts, counts[1:])
    )


def _p99_ms(before: Count, after: Count, role: str) -> float | None:
    old, new = _buckets(before, role), _buckets(after, role)
    grown = {bucket: n - old.get(bucket, 0) for bucket, n in new.items()}
    return quantile_ms({bucket: n for bucket, n in grown.items() if n > 0}, 0.99)


def _buckets(count: Count, role: str) -> Mapping[int, int]:
    for sums in count.latencies:
        if (sums.role, sums.clock) == (role, "caller"):
            return sums.counts
    return {}
