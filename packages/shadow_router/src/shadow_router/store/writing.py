"""The writing end of the store."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from shadow_router.latency import bucket_of
from shadow_router.records import DISCREPANCIES, Comparison, Fate, Flow
from shadow_router.rules import Rules
from shadow_router.store import schema
from shadow_router.store.adding import add
from shadow_router.store.identity import write_identity
from shadow_router.store.labelling import Joined, TrueLabel, write_labels
from shadow_router.store.lanes import Trials, begin_lanes, write_trials
from shadow_router.store.samples import Limits, note_history, write_samples
from shadow_router.store.schema import open_engine
from shadow_router.store.tallying import write_evidence

#: Bodies kept of each fate; the rows and counters themselves have no cap.
KEPT_BODIES = 200
_LABELS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes."""

    comparisons: Sequence[Comparison] = ()
    #: Fates without a row, as (router id, fate): how many.
    counts: Mapping[tuple[str, Fate], int] = field(default_factory=dict)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    trials: Trials = field(default_factory=dict)


class Store:
    """The writing end; used by one thread of one process."""

    def __init__(self, directory: Path) -> None:
        self._engine = open_engine(directory)
        self._limits: Limits = {}
        self._step = -1
        with self._engine.begin() as connection:
            schema.check_layout(connection)
            schema.metadata.create_all(connection)
            version = insert(schema.layout).values(version=schema.LAYOUT)
            connection.execute(version.on_conflict_do_nothing())

    def note_rules(self, rules: Rules) -> None:
        """Keep the rules that comparisons are made by from now on."""
        values = {
            "sha256": rules.sha256,
            "at_ns": time.time_ns(),
            "text": rules.canonical,
        }
        statement = insert(schema.rules).values(values).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(statement)

    def note_identity(self, role: str, digest: str) -> None:
        """Keep the digest of the artefact that a role said it runs."""
        with self._engine.begin() as connection:
            write_identity(connection, role, digest)

    def join_labels(self, given: Sequence[TrueLabel]) -> Joined:
        """Join true labels to the inputs they belong to."""
        with self._engine.begin() as connection:
            return write_labels(connection, given)

    def begin_lanes(self, noise_share: float, mutant_share: float) -> str:
        """Return the seed by which the lanes draw, kept for as long as they are so."""
        with self._engine.begin() as connection:
            return begin_lanes(connection, noise_share, mutant_share)

    def write(self, batch: Batch) -> None:
        """Commit one batch: all of it, or, with an exception, none of it."""
        with self._engine.begin() as connection:
            counts = Counter(batch.counts)
            for item in batch.comparisons:
                counts[item.router_id, item.difference.fate] += 1
            _add_counters(connection, "collector", counts)
            _write_rows(connection, batch.comparisons)
            _write_sums(connection, batch.comparisons)
            write_evidence(connection, batch.comparisons)
            write_trials(connection, batch.trials)
            limits = write_samples(connection, batch.comparisons, self._limits)
            step = note_history(connection, time.time_ns(), self._step)
            for router_id, flow in batch.flows.items():
                _write_flow(connection, router_id, flow)
        # Only what was committed counts.
        self._limits, self._step = limits, step

    def finalise(
        self, router_id: str, received: int, fates: Mapping[Fate, int], crashed: int
    ) -> None:
        """Take over the books of a router that has ended; a second time is no-op."""
        with self._engine.begin() as connection:
            known = sa.select(schema.finals).where(
                schema.finals.c.router_id == router_id
            )
            if connection.execute(known).first():
                return
            final = {"router_id": router_id, "received": received}
            connection.execute(sa.insert(schema.finals), final)
            own = {(router_id, fate): n for fate, n in fates.items() if n}
            _add_counters(connection, "router", own)
            if crashed > 0:
                lost = {(router_id, Fate.DROPPED_CRASH): crashed}
                _add_counters(connection, "collector", lost)
            gone = sa.delete(schema.flows).where(schema.flows.c.router_id == router_id)
            connection.execute(gone)

    def settled(self, router_id: str) -> int:
        """Return how many exchanges of a router have a committed fate."""
        total = sa.select(sa.func.sum(schema.counters.c.n)).where(
            schema.counters.c.router_id == router_id,
            schema.counters.c.side == "collector",
        )
        with self._engine.begin() as connection:
            return int(connection.execute(total).scalar() or 0)

    def is_final(self, router_id: str) -> bool:
        """Return whether a router's books have been taken over already."""
        known = sa.select(schema.finals).where(schema.finals.c.router_id == router_id)
        with self._engine.begin() as connection:
            return connection.execute(known).first() is not None

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()


def _add_counters(
    connection: sa.Connection, side: str, counts: Mapping[tuple[str, Fate], int]
) -> None:
    rows = (
        {"router_id": router_id, "side": side, "fate": fate.value, "n": n}
        for (router_id, fate), n in counts.items()
    )
    add(connection, schema.counters, rows)


def _write_flow(connection: sa.Connection, router_id: str, flow: Flow) -> None:
    values = {
        "taken": flow.taken,
        "open": flow.open,
        "dropped_writer": flow.dropped_writer,
    }
    statement = insert(schema.flows).values(router_id=router_id, **values)
    connection.execute(statement.on_conflict_do_update(["router_id"], set_=values))


def _write_rows(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    if not items:
        return
    last = (
        connection.execute(sa.select(sa.func.max(schema.comparisons.c.id))).scalar()
        or 0
    )
    rows = [_row(last + i, item) for i, item in enumerate(items, start=1)]
    connection.execute(sa.insert(schema.comparisons), rows)
    kept = [
        (row["id"], item)
        for row, item in zip(rows, items, strict=True)
        if item.difference.fate in DISCREPANCIES
    ]
    if kept:
        _write_bodies(connection, kept)


def _row(row_id: int, item: Comparison) -> dict[str, Any]:
    difference, live, shadow = item.difference, item.live, item.shadow
    worst, shown = difference.worst_row, list(difference.rows)
    if len(shown) > _LABELS_SHOWN:
        # What changed comes first where not all can be shown.
        shown.sort(key=lambda row: not row.is_flip)
    return {
        "id": row_id,
        "router_id": item.router_id,
        "request_id": item.exchange.request_id,
        "at_ns": item.exchange.at_ns,
        "fate": difference.fate.value,
        "reason": difference.reason,
        "rows": len(difference.rows),
        "live_labels": _shown([row.live for row in shown]),
        "shadow_labels": _shown([row.shadow for row in shown]),
        "max_delta": difference.max_delta,
        "total_variation": worst.total_variation if worst else None,
        "live_margin": worst.margin if worst else None,
        "live_status": live.status,
        "shadow_status": shadow.status if shadow else None,
        "live_ms": live.latency_ms,
        "shadow_ms": shadow.latency_ms if shadow else None,
        "live_predict_ms": live.predict_ms,
        "shadow_predict_ms": shadow.predict_ms if shadow else None,
        "input_digest": item.request_digest,
        "live_version": difference.live_version,
        "shadow_version": difference.shadow_version,
    }


def _shown(labels: list[str]) -> str:
    rest = "" if len(labels) <= _LABELS_SHOWN else f", … {len(labels)} in all"
    return ", ".join(label[:64] for label in labels[:_LABELS_SHOWN]) + rest


def _write_bodies(
    connection: sa.Connection, kept: Sequence[tuple[int, Comparison]]
) -> None:
    count = sa.select(schema.bodies.c.fate, sa.func.count()).group_by(
        schema.bodies.c.fate
    )
    full = Counter({fate: n for fate, n in connection.execute(count)})
    for row_id, item in kept:
        fate = item.difference.fate.value
        if full[fate] >= KEPT_BODIES:
            continue
        full[fate] += 1
        values = {
            "comparison_id": row_id,
            "fate": fate,
            "route": _route(item),
            "request": item.exchange.request_body,
            "live": item.live.body,
            "shadow": item.shadow.body if item.shadow else None,
        }
        connection.execute(sa.insert(schema.bodies), values)


def _route(item: Comparison) -> str:
    path, _, _ = item.exchange.target.partition(b"?")
    return f"{item.exchange.method} {path.decode('latin-1')}"


def _write_sums(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    versions: Counter[tuple[str, str, str]] = Counter()
    buckets: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for item in items:
        found = item.difference
        pairs.update((row.live, row.shadow) for row in found.rows)
        versions["live", found.live_version, found.live_digest] += 1
        versions["shadow", found.shadow_version, found.shadow_digest] += 1
        for role, seen in (("live", item.live), ("shadow", item.shadow)):
            if seen is None:
                continue
            buckets[role, "caller", bucket_of(seen.latency_ms)].append(seen.latency_ms)
            if seen.predict_ms is not None:
                key = (role, "server", bucket_of(seen.predict_ms))
                buckets[key].append(seen.predict_ms)
    confusion = ({"live": a, "shadow": b, "n": n} for (a, b), n in pairs.items())
    add(connection, schema.confusion, confusion)
    seen_as = (
        {"role": role, "version": version, "digest": digest, "n": n}
        for (role, version, digest), n in versions.items()
        if version or digest
    )
    add(connection, schema.versions, seen_as)
    times = (
        {"role": r, "clock": c, "bucket": b, "n": len(ms), "sum_ms": sum(ms)}
        for (r, c, b), ms in buckets.items()
    )
    add(connection, schema.latencies, times)
