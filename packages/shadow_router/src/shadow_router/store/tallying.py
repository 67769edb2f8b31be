"""Writing the evidence of the gates: each input counts once, by its first answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf

import sqlalchemy as sa

from shadow_router.request.clients import UNNAMED
from shadow_router.store.clients import INPUTS, REQUESTS, write_clients
from shadow_router.store.keeping import first_uncounted, read_kept
from shadow_router.store.labelling import write_flips
from shadow_router.store.naming import Names
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import add, insert_tuples
from shadow_router.values import (
    COMPARED,
    CONFIDENT_MARGIN,
    FAILED,
    Comparison,
    Fate,
    Unit,
)
from shadow_router.verdict.latency import fine_bucket_of

_MINUTE_NS = 60 * 10**9
#: Databases take so many values in one statement at the least.
_CHUNK = 500


#: Both labels, whether shifted, bucket and size of the margin, bins, minute.
_Kind = tuple[str, str, bool, int | None, bool, tuple[str, ...], int]


class _Sums:
    """What one batch adds."""

    def __init__(self, known: dict[bytes, bytes], end: bytes) -> None:
        #: Digests below it count; once there were too many inputs, not all do.
        self.end = end
        #: Digests seen so far, with a digest of labels once there were some.
        self.known = known
        self.fresh: dict[bytes, bytes] = {}
        #: Requests that failed at first and now have labels.
        self.filled: dict[bytes, bytes] = {}
        #: New inputs on which the versions disagree, with request id and row.
        self.flips: list[tuple[str, int, Unit]] = []
        self.counts: Counter[str] = Counter()
        self.distance = self.squared_distance = 0.0
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.segments: Counter[tuple[str, bool]] = Counter()
        self.pace: Counter[tuple[int, bool]] = Counter()
        self.margins: Counter[tuple[int, bool]] = Counter()
        self.sketches: Counter[tuple[str, str, int]] = Counter()
        #: By client: unique inputs, and all requests.
        self.givers: dict[str, Counter[str]] = {INPUTS: Counter(), REQUESTS: Counter()}
        # Inputs alike in all that is counted of them, and what is still to be sorted.
        self._kinds: Counter[_Kind] = Counter()
        self._times: dict[tuple[str, str], list[float]] = defaultdict(list)

    def take(self, item: Comparison) -> None:
        """Add one comparison."""
        fate = item.difference.fate
        if fate is Fate.INTERNAL_ERROR or not item.is_evidence:
            return
        fresh = [one for one in item.inputs if one not in self.known and one < self.end]
        if fresh:
            # Rows in another order, or in other company, make no request new.
            self.counts["requests"] += 1
            self.counts["errors"] += fate in FAILED
            self.counts["breaks"] += fate is Fate.CONTRACT_BREAK
        if not item.units:
            for digest in fresh:
                self._remember(digest, b"")
        client = item.exchange.client or UNNAMED
        self.givers[REQUESTS][client] += 1
        for at, unit in enumerate(item.units):
            if unit.digest >= self.end:
                continue
            labels = _short(unit.row.live) + _short(unit.row.shadow)
            if before := self.known.get(unit.digest):
                self._take_repeat(before, labels)
            else:
                self._remember(unit.digest, labels)
                self.givers[INPUTS][client] += 1
                self._take_unit(unit, item.exchange.at_ns // _MINUTE_NS)
                if unit.row.is_flip:
                    self.flips.append((item.exchange.request_id, at, unit))
        self._take_latencies(item)

    def _remember(self, digest: bytes, labels: bytes) -> None:
        is_stored = digest in self.known and digest not in self.fresh
        (self.filled if is_stored else self.fresh)[digest] = labels
        self.known[digest] = labels

    def _take_unit(self, unit: Unit, minute: int) -> None:
        live, shadow, distance, margin, is_shifted = unit.row
        bucket, is_sure = None, False
        if distance is not None and margin is not None:
            bucket = min(int(margin * schema.MARGIN_BINS), schema.MARGIN_BINS - 1)
            is_sure = margin >= CONFIDENT_MARGIN
            self.distance += distance
            self.squared_distance += distance * distance
        self._kinds[live, shadow, is_shifted, bucket, is_sure, unit.bins, minute] += 1

    def close(self, names: Names) -> None:
        """Spread what was counted by kind over the sums: there are few kinds."""
        for kind, n in self._kinds.items():
            live, shadow, is_shifted, bucket, is_sure, bins, minute = kind
            is_flip = live != shadow
            self.pairs[live, shadow] += n
            self.pace[minute, is_flip] += n
            self.counts["shifts"] += n * (is_shifted or is_flip)
            for name in (live, *(f"{live} · {one}" for one in bins)):
                self.segments[names.segment(name), is_flip] += n
            if bucket is not None:
                self.counts["measured"] += n
                self.margins[bucket, is_flip] += n
                self.counts["confident_flips"] += n * (is_flip and is_sure)
        for (clock, role), times in self._times.items():
            for fine, n in Counter(map(fine_bucket_of, times)).items():
                self.sketches[clock, role, fine] += n

    def _take_repeat(self, before: bytes, now: bytes) -> None:
        half = len(now) // 2
        self.counts["repeats"] += 1
        self.counts["live_changes"] += before[:half] != now[:half]
        self.counts["shadow_changes"] += before[half:] != now[half:]

    def _take_latencies(self, item: Comparison) -> None:
        live, shadow = item.live, item.shadow
        if item.difference.fate is Fate.SHADOW_TIMEOUT:
            # Longer than anything measured: leaving it out would flatter the shadow.
            self._take_times("caller", live.latency_ms, inf)
            self._take_times("server", live.predict_ms, inf)
        elif shadow is not None and item.difference.fate in COMPARED:
            self._take_times("caller", live.latency_ms, shadow.latency_ms)
            self._take_times("server", live.predict_ms, shadow.predict_ms)

    def _take_times(self, clock: str, ours: float | None, its: float | None) -> None:
        if ours is not None and its is not None:
            self._times[clock, "live"].append(ours)
            self._times[clock, "shadow"].append(its)


@lru_cache(maxsize=4096)
def _short(label: str) -> bytes:
    """Return enough of a digest to tell whether a label has changed."""
    return blake2b(label.encode("utf-8", "surrogatepass"), digest_size=4).digest()


def write_evidence(
    connection: sa.Connection, items: Sequence[Comparison], names: Names
) -> None:
    """Add a batch to the sums that the gates are judged by."""
    if not items:
        return
    digests = {digest for item in items for digest in item.inputs}
    halvings = read_kept(connection).get(schema.HALVINGS, (0, 0))[0]
    sums = _Sums(_known(connection, list(digests)), first_uncounted(halvings))
    for item in items:
        sums.take(item)
    sums.close(names)
    _write_inputs(connection, sums)
    _write_sums(connection, sums)
    for measure, counts in sums.givers.items():
        write_clients(connection, measure, counts)
    write_flips(connection, sums.flips)


def _known(connection: sa.Connection, digests: list[bytes]) -> dict[bytes, bytes]:
    inputs = schema.inputs
    known: dict[bytes, bytes] = {}
    for start in range(0, len(digests), _CHUNK):
        some = digests[start : start + _CHUNK]
        rows = connection.execute(sa.select(inputs).where(inputs.c.digest.in_(some)))
        known.update((row.digest, row.labels) for row in rows)
    return known


def _write_inputs(connection: sa.Connection, sums: _Sums) -> None:
    inputs = schema.inputs
    if sums.fresh:
        insert_tuples(connection, inputs, list(sums.fresh.items()))
        more = {"name": schema.INPUTS, "n": len(sums.fresh), "bytes": 0}
        add(connection, schema.kept, [more])
    if sums.filled:
        where = inputs.c.digest == sa.bindparam("known")
        update = sa.update(inputs).where(where).values(labels=sa.bindparam("first"))
        filled = _named(("known", "first"), sums.filled.items())
        connection.execute(update, list(filled))


def _write_sums(connection: sa.Connection, sums: _Sums) -> None:
    counts = ((name, n, 0.0) for name, n in sums.counts.items() if n)
    totals = (
        ("distance", 0, sums.distance),
        ("squared_distance", 0, sums.squared_distance),
    )
    add(connection, schema.tallies, _named(("name", "n", "total"), (*counts, *totals)))
    pairs = ((*pair, n) for pair, n in sums.pairs.items())
    add(connection, schema.pairs, _named(("live", "shadow", "n"), pairs))
    halves = (
        (name, n, n if is_flip else 0) for (name, is_flip), n in sums.segments.items()
    )
    add(connection, schema.segments, _named(("name", "n", "flips"), halves))
    minutes = (
        (minute, n, n if is_flip else 0) for (minute, is_flip), n in sums.pace.items()
    )
    add(connection, schema.pace, _named(("minute", "inputs", "flips"), minutes))
    by_margin = (
        (bucket, n, n if is_flip else 0)
        for (bucket, is_flip), n in sums.margins.items()
    )
    add(connection, schema.margins, _named(("bucket", "n", "flips"), by_margin))
    buckets = (
        (clock, bucket, n if role == "live" else 0, n if role == "shadow" else 0)
        for (clock, role, bucket), n in sums.sketches.items()
    )
    names = ("clock", "bucket", "live", "shadow")
    add(connection, schema.sketches, _named(names, buckets))


def _named(
    names: Sequence[str], rows: Iterable[Sequence[object]]
) -> Iterable[dict[str, object]]:
    return (dict(zip(names, row, strict=True)) for row in rows)
