"""Latencies as histograms of fixed buckets: coarse to draw, fine to judge; pure."""

from bisect import bisect_left
from collections.abc import Mapping
from math import inf, log

#: Upper edges in milliseconds, each 1.25 times the one before; the last bucket is
#: open. A change of these numbers makes stored histograms unreadable.
EDGES_MS = tuple(round(0.05 * 1.25**i, 6) for i in range(64))

#: The fine buckets: bucket b ends at FINE_MS * FINE_RATIO ** b, up to 84 s, and the
#: last is open. A change makes stored sketches unreadable.
FINE_MS = 0.01
FINE_RATIO = 1.02
FINE_BUCKETS = 806
_LOG_RATIO = log(FINE_RATIO)


def bucket_of(latency_ms: float) -> int:
    """Return the index of the bucket a latency falls into."""
    return bisect_left(EDGES_MS, latency_ms)


def fine_bucket_of(latency_ms: float) -> int:
    """Return the index of the fine bucket a latency falls into; infinity has one."""
    if latency_ms <= FINE_MS:
        return 0
    last = FINE_BUCKETS - 1
    if latency_ms == inf:
        return last
    return min(int(log(latency_ms / FINE_MS) / _LOG_RATIO) + 1, last)


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
