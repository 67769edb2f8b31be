"""Writing the evidence of the gates: each input counts once, by its first answer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf

import sqlalchemy as sa

from shadow_router.evidence import CONFIDENT_MARGIN
from shadow_router.latency import fine_bucket_of
from shadow_router.records import COMPARED, FAILED, Comparison, Fate, Unit
from shadow_router.store import schema
from shadow_router.store.adding import add, insert
from shadow_router.store.keeping import first_uncounted, read_kept
from shadow_router.store.labelling import write_flips

_MINUTE_NS = 60 * 10**9
#: Databases take so many values in one statement at the least.
_CHUNK = 500


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
        #: New inputs, with request id and row.
        self.firsts: list[tuple[str, int, Unit]] = []
        self.counts: Counter[str] = Counter()
        self.distance = self.squared_distance = 0.0
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.segments: Counter[tuple[str, bool]] = Counter()
        self.pace: Counter[tuple[int, bool]] = Counter()
        self.margins: Counter[tuple[int, bool]] = Counter()
        self.sketches: Counter[tuple[str, str, int]] = Counter()

    def take(self, item: Comparison) -> None:
        """Add one comparison."""
        fate = item.difference.fate
        if fate is Fate.INTERNAL_ERROR:
            return
        if item.request_digest not in self.known and item.request_digest < self.end:
            self._remember(item.request_digest, b"")
            self.counts["requests"] += 1
            self.counts["errors"] += fate in FAILED
            self.counts["breaks"] += fate is Fate.CONTRACT_BREAK
        for at, unit in enumerate(item.units):
            if unit.digest >= self.end:
                continue
            labels = _short(unit.row.live) + _short(unit.row.shadow)
            if before := self.known.get(unit.digest):
                self._take_repeat(before, labels)
            else:
                self._remember(unit.digest, labels)
                self._take_unit(unit, item.exchange.at_ns // _MINUTE_NS)
                self.firsts.append((item.exchange.request_id, at, unit))
        self._take_latencies(item)

    def _remember(self, digest: bytes, labels: bytes) -> None:
        is_stored = digest in self.known and digest not in self.fresh
        (self.filled if is_stored else self.fresh)[digest] = labels
        self.known[digest] = labels

    def _take_unit(self, unit: Unit, minute: int) -> None:
        row = unit.row
        self.pairs[row.live, row.shadow] += 1
        self.pace[minute, row.is_flip] += 1
        self.counts["shifts"] += row.is_shifted or row.is_flip
        for name in (row.live, *(f"{row.live} · {one}" for one in unit.bins)):
            self.segments[name, row.is_flip] += 1
        if row.total_variation is None or row.margin is None:
            return
        self.counts["measured"] += 1
        bucket = min(int(row.margin * schema.MARGIN_BINS), schema.MARGIN_BINS - 1)
        self.margins[bucket, row.is_flip] += 1
        is_sure = row.margin >= CONFIDENT_MARGIN
        self.counts["confident_flips"] += row.is_flip and is_sure
        self.distance += row.total_variation
        self.squared_distance += row.total_variation**2

    def _take_repeat(self, before: bytes, now: bytes) -> None:
        half = len(now) // 2
        self.counts["repeats"] += 1
        self.counts["live_changes"] += before[:half] != now[:half]
        self.counts["shadow_changes"] += before[half:] != now[half:]

    def _take_latencies(self, item: Comparison) -> None:
        live, shadow = item.live, item.shadow
        caller: tuple[float, float]
        server: tuple[float | None, float | None]
        if item.difference.fate is Fate.SHADOW_TIMEOUT:
            # Longer than anything measured: leaving it out would flatter the shadow.
            caller, server = (live.latency_ms, inf), (live.predict_ms, inf)
        elif shadow is not None and item.difference.fate in COMPARED:
            caller = (live.latency_ms, shadow.latency_ms)
            server = (live.predict_ms, shadow.predict_ms)
        else:
            return
        for clock, ours, its in (("caller", *caller), ("server", *server)):
            if ours is not None and its is not None:
                self.sketches[clock, "live", fine_bucket_of(ours)] += 1
                self.sketches[clock, "shadow", fine_bucket_of(its)] += 1


@lru_cache(maxsize=4096)
def _short(label: str) -> bytes:
    """Return enough of a digest to tell whether a label has changed."""
    return blake2b(label.encode("utf-8", "surrogatepass"), digest_size=4).digest()


def write_evidence(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    """Add a batch to the sums that the gates are judged by."""
    if not items:
        return
    digests = {unit.digest for item in items for unit in item.units}
    digests.update(item.request_digest for item in items)
    halvings = read_kept(connection).get(schema.HALVINGS, (0, 0))[0]
    sums = _Sums(_known(connection, list(digests)), first_uncounted(halvings))
    for item in items:
        sums.take(item)
    _write_inputs(connection, sums)
    _write_sums(connection, sums)
    write_flips(connection, sums.firsts)


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
        rows = _named(("digest", "labels"), sums.fresh.items())
        insert(connection, inputs, rows)
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
