"""Latencies as histograms of fixed buckets: coarse to draw, fine to judge; pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import inf

#: Upper edges in milliseconds, each 1.25 times the one before; the last bucket is
#: open. A change of these numbers makes stored histograms unreadable.
EDGES_MS = tuple(round(0.05 * 1.25**i, 6) for i in range(64))

#: The fine buckets: bucket b ends at FINE_MS * FINE_RATIO ** b, up to 84 s, and the
#: last is open. A change makes stored sketches unreadable.
FINE_MS = 0.01
FINE_RATIO = 1.02
FINE_BUCKETS = 806
_FINE_EDGES_MS = [FINE_MS * FINE_RATIO**bucket for bucket in range(FINE_BUCKETS - 1)]


def bucket_of(latency_ms: float) -> int:
    """Return the index of the bucket a latency falls into."""
    return bisect_left(EDGES_MS, latency_ms)


def histogram(latencies_ms: Iterable[float]) -> dict[int, tuple[int, float]]:
    """Return number and sum of the latencies in each bucket that has some."""
    counts = [0] * (len(EDGES_MS) + 1)
    sums = [0.0] * (len(EDGES_MS) + 1)
    for latency_ms in latencies_ms:
        bucket = bisect_left(EDGES_MS, latency_ms)
        counts[bucket] += 1
        sums[bucket] += latency_ms
    return {at: (n, sums[at]) for at, n in enumerate(counts) if n}


def fine_bucket_of(latency_ms: float) -> int:
    """Return the index of the fine bucket a latency falls into; infinity has one."""
    return bisect_left(_FINE_EDGES_MS, latency_ms)


def fine_edges_ms(bucket: int) -> tuple[float, float]:
    """Return between which latencies a fine bucket lies: above and at most."""
    lower = FINE_MS * FINE_RATIO ** (bucket - 1) if bucket else 0.0
    is_open = bucket >= FINE_BUCKETS - 1
    return lower, inf if is_open else FINE_MS * FINE_RATIO**bucket


def quantile_ms(counts: Mapping[int, int], share: float) -> float | None:
    """Return the latency below which the share lies, None without any counts.

    Within its bucket it is interpolated, so it is right to within 25 %.
    """
    total = sum(counts.values())
    if not total:
        return None
    wanted = share * total
    below = 0
    for bucket in sorted(counts):
        if below + counts[bucket] >= wanted:
            low = EDGES_MS[bucket - 1] if bucket else 0.0
            high = EDGES_MS[min(bucket, len(EDGES_MS) - 1)]
            return low + (high - low) * (wanted - below) / counts[bucket]
        below += counts[bucket]
    return EDGES_MS[-1]
