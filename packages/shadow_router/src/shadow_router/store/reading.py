"""The reading end of the store, for the report and the audit."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from shadow_router.errors import DataDirectoryMissing, StoreUnreadable
from shadow_router.run.books import Page, RunState
from shadow_router.store.clients import read_clients
from shadow_router.store.identity import key_fault, newest_ns, with_digests
from shadow_router.store.labelling import LabelTotals, read_labels
from shadow_router.store.lanes import read_lanes
from shadow_router.store.naming import (
    MOST_SEGMENTS,
    MOST_VERSIONS,
    names_fault,
    read_pairs,
    read_top,
)
from shadow_router.store.sql import migrating, schema
from shadow_router.store.sql.engine import (
    FILE_NAME,
    open_engine,
    reason_of,
    shown_store,
)
from shadow_router.values import Fate, Flow
from shadow_router.verdict.evidence import Lanes, Sketch, Tallies, Tried

#: The pace of late is that of so many minutes.
_PACE_MINUTES = 10


@dataclass(frozen=True, slots=True)
class StoredBooks:
    """Everything the audit needs, as of one moment."""

    #: (router id, side, fate): count; side is `router` or `collector`.
    counters: Mapping[tuple[str, str, str], int]
    flows: Mapping[str, Flow]
    #: Requests received by each router whose books are closed.
    finals: Mapping[str, int]
    #: Rows of comparisons, those that were let go of included.
    rows_by_fate: Mapping[str, int]
    #: What the routers' files said when they were last written here, by router id.
    pages: Mapping[str, Page]


@dataclass(frozen=True, slots=True)
class LatencySums:
    """A latency histogram of one role by one clock."""

    role: str
    clock: str
    counts: Mapping[int, int]
    sum_ms: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums that a report is made from."""

    counters: Mapping[tuple[str, str, str], int]
    finals: Mapping[str, int]
    pages: Mapping[str, Page]
    confusion: Mapping[tuple[str, str], int]
    latencies: tuple[LatencySums, ...]
    #: Version and digest by role, as often as either changed; empty text: not told.
    versions: Mapping[str, tuple[tuple[str, str], ...]]
    tallies: Tallies
    #: By what is counted, and by client.
    clients: Mapping[str, Mapping[str, float]]
    lanes: Lanes
    #: New unique inputs in a second over the last minutes.
    inputs_per_s: float
    #: Canonical texts of the rules in force so far, oldest first.
    rules: tuple[str, ...]
    #: When the newest comparison's request came, in ns since 1970; None: there is none.
    newest_ns: int | None
    labels: LabelTotals
    #: Why the sums cannot be believed.
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One comparison a person may want to look at, with its bodies."""

    request_id: str
    at_ns: int
    fate: Fate
    reason: str
    live_labels: str
    shadow_labels: str
    max_delta: float | None
    live_margin: float | None
    live_status: int
    shadow_status: int | None
    #: Method and path, without a query.
    route: str
    request: bytes
    live: bytes
    shadow: bytes | None


@contextmanager
def reading(directory: Path, url: SecretStr | None) -> Iterator[sa.Connection]:
    """Open the store as of one moment; raises as `read_books` does."""
    if url is None and not (directory / FILE_NAME).exists():
        raise DataDirectoryMissing(f"{directory} holds no comparisons yet")
    engine = open_engine(directory, url, read_only=True)
    try:
        with engine.begin() as connection:
            if migrating.is_empty(connection):
                where = shown_store(directory, url)
                raise DataDirectoryMissing(f"{where} holds no comparisons yet")
            migrating.check_layout(connection)
            _check_fates(connection)
            yield connection
    except sa.exc.SQLAlchemyError as error:
        reason = f"{shown_store(directory, url)}: {reason_of(error, url)}"
        raise StoreUnreadable(reason) from None
    finally:
        engine.dispose()


def _check_fates(connection: sa.Connection) -> None:
    """Refuse fates of a newer version, or of nobody's."""
    named = set(connection.scalars(sa.select(schema.counters.c.fate).distinct()))
    if unknown := named - set(Fate):
        raise StoreUnreadable(f"the store counts unknown fates: {len(unknown)}")


def _counters(connection: sa.Connection) -> dict[tuple[str, str, str], int]:
    rows = connection.execute(sa.select(schema.counters))
    return {(row.router_id, row.side, row.fate): row.n for row in rows}


def _finals(connection: sa.Connection) -> dict[str, int]:
    rows = connection.execute(sa.select(schema.finals))
    return {row.router_id: row.received for row in rows}


def _pages(connection: sa.Connection) -> dict[str, Page]:
    rows = connection.execute(sa.select(schema.pages))
    return {row.router_id: _page(json.loads(row.page)) for row in rows}


def _page(said: dict[str, Any]) -> Page:
    fates = {Fate(name): n for name, n in said["fates"].items()}
    return Page(**said | {"state": RunState(said["state"]), "fates": fates})


def read_books(directory: Path, url: SecretStr | None = None) -> StoredBooks:
    """
    Return counters, gauges and the rows behind them, as of one moment.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    with reading(directory, url) as connection:
        flows = connection.execute(sa.select(schema.flows))
        return StoredBooks(
            counters=_counters(connection),
            flows={
                row.router_id: Flow(row.taken, row.open, row.dropped_writer)
                for row in flows
            },
            finals=_finals(connection),
            rows_by_fate=_rows_by_fate(connection),
            pages=_pages(connection),
        )


def _rows_by_fate(connection: sa.Connection) -> dict[str, int]:
    fate = schema.comparisons.c.fate
    rows = Counter[str]()
    there = sa.select(fate, sa.func.count()).group_by(fate)
    for query in (there, sa.select(schema.pruned)):
        rows.update({name: n for name, n in connection.execute(query)})
    return rows


def read_totals(directory: Path, url: SecretStr | None = None) -> Totals:
    """Return the sums; raises as `read_books` does, and never scans the rows."""
    with reading(directory, url) as connection:
        by_time = sa.select(schema.rules.c.text).order_by(schema.rules.c.at_ns)
        tallies = _tallies(connection)
        return Totals(
            counters=_counters(connection),
            finals=_finals(connection),
            pages=_pages(connection),
            confusion=read_pairs(connection, schema.confusion),
            latencies=_latencies(connection),
            versions=with_digests(connection, _versions(connection)),
            tallies=tallies,
            clients=read_clients(connection),
            lanes=read_lanes(connection),
            inputs_per_s=_inputs_per_s(connection),
            rules=tuple(connection.scalars(by_time)),
            newest_ns=newest_ns(connection),
            labels=read_labels(connection),
            faults=(*key_fault(connection), *names_fault(tallies.pairs)),
        )


def _versions(
    connection: sa.Connection,
) -> dict[str, tuple[tuple[str, str], ...]]:
    table, most = schema.versions, MOST_VERSIONS + 1
    seen = {
        role: read_top(connection, table, most, table.c.role == role)
        for role in ("live", "shadow")
    }
    return {
        role: tuple(sorted((row.version, row.digest) for row in rows))
        for role, rows in seen.items()
    }


def _tallies(connection: sa.Connection) -> Tallies:
    named = connection.execute(sa.select(schema.tallies))
    # A tally is either a count or a sum; the other column of its row is 0.
    sums = {row.name: row.n or row.total for row in named}
    segments = read_top(connection, schema.segments, MOST_SEGMENTS + 1)
    return Tallies(
        **sums,
        pairs=read_pairs(connection, schema.pairs),
        segments={row.name: Tried(row.n, row.flips) for row in segments},
        sketches=_sketches(connection),
    )


def _sketches(connection: sa.Connection) -> dict[str, Sketch]:
    rows = connection.execute(sa.select(schema.sketches)).all()
    return {
        clock: Sketch(
            live={row.bucket: row.live for row in rows if row.clock == clock},
            shadow={row.bucket: row.shadow for row in rows if row.clock == clock},
        )
        for clock in {row.clock for row in rows}
    }


def _inputs_per_s(connection: sa.Connection) -> float:
    minute = time.time() / 60
    pace = schema.pace.c
    # A clock that was set may have left minutes that are still to come.
    been = pace.minute <= int(minute)
    began: int | None = connection.scalar(
        sa.select(sa.func.min(pace.minute)).where(been)
    )
    if began is None:
        return 0.0
    since = max(began, int(minute) - _PACE_MINUTES)
    recent = sa.select(sa.func.sum(pace.inputs)).where(been, pace.minute >= since)
    inputs = int(connection.scalar(recent) or 0)
    return inputs / (60 * max(minute - since, 1.0))


def _latencies(connection: sa.Connection) -> tuple[LatencySums, ...]:
    counts: dict[tuple[str, str], dict[int, int]] = {}
    sums: dict[tuple[str, str], float] = {}
    for row in connection.execute(sa.select(schema.latencies)):
        key = (row.role, row.clock)
        counts.setdefault(key, {})[row.bucket] = row.n
        sums[key] = sums.get(key, 0.0) + row.sum_ms
    return tuple(LatencySums(*key, counts[key], sums[key]) for key in sorted(counts))
