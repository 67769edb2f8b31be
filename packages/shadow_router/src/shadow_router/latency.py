"""Latencies as a histogram of fixed buckets; pure."""

from bisect import bisect_left
from collections.abc import Mapping

#: Upper edges in milliseconds, each 1.25 times the one before; the last bucket is
#: open. A change of these numbers makes stored histograms unreadable.
EDGES_MS = tuple(round(0.05 * 1.25**i, 6) for i in range(64))


def bucket_of(latency_ms: float) -> int:
    """Return the index of the bucket a latency falls into."""
    return bisect_left(EDGES_MS, latency_ms)


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
