"""The writing end of the store."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from shadow_router.rules.rules import Rules
from shadow_router.run.books import Page
from shadow_router.store.ageing import Ageing
from shadow_router.store.identity import KEY, write_identity
from shadow_router.store.keeping import Keep, prune
from shadow_router.store.labelling import (
    Joined,
    Labelling,
    TrueLabel,
    undo_labels,
    write_labels,
)
from shadow_router.store.lanes import Trials, begin_lanes, write_trials
from shadow_router.store.naming import Names, read_names
from shadow_router.store.rows import write_discrepancies, write_rows
from shadow_router.store.samples import Limits, note_history, write_samples
from shadow_router.store.sql import migrating, schema
from shadow_router.store.sql.adding import add, insert_missing, put
from shadow_router.store.sql.engine import open_engine, told_when_away, writing
from shadow_router.store.tallying import write_evidence
from shadow_router.values import Comparison, Fate, Flow
from shadow_router.verdict.latency import histogram


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes."""

    comparisons: Sequence[Comparison] = ()
    #: Fates without a row, as (router id, fate): how many.
    counts: Mapping[tuple[str, Fate], int] = field(default_factory=dict)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    trials: Trials = field(default_factory=dict)
    #: What the routers' files say, read after the flows.
    pages: Sequence[Page] = ()

    @property
    def holds_anything(self) -> bool:
        """Return whether there is something to write."""
        parts = (self.comparisons, self.counts, self.flows, self.trials, self.pages)
        return any(parts)


class Store:
    """
    The writing end; batches are written by one thread of one process.

    Parameters
    ----------
    directory : Path
        The data directory, which holds the SQLite file when there is no URL.
    url : SecretStr or None
        Of a PostgreSQL database, which other collectors may write to as well.
    keep : Keep
        How much is kept.
    ageing : Ageing, optional
        By which clocks rows grow old.

    Raises
    ------
    StoreAway
        If the database cannot be opened now.
    StoreUnreadable
        If it holds the tables of a newer version, or of one too old.
    """

    def __init__(
        self,
        directory: Path,
        url: SecretStr | None = None,
        keep: Keep = Keep(),
        ageing: Ageing | None = None,
    ) -> None:
        self.is_shared = url is not None
        self._keep = keep
        self._ageing = ageing or Ageing()
        self._writer_id = f"{int(time.time())}-{secrets.token_hex(6)}"
        self._written = 0
        self._limits: Limits = {}
        self._names: Names | None = None
        self._step = -1
        self._engine = open_engine(directory, url)
        self._told = partial(told_when_away, directory, url)
        try:
            with self._told(), writing(self._engine) as connection:
                migrating.prepare(connection)
        except BaseException:
            self.close()
            raise

    def note_rules(self, rules: Rules) -> None:
        """Keep the rules that comparisons are made by from now on."""
        values = {
            "sha256": rules.sha256,
            "at_ns": time.time_ns(),
            "text": rules.canonical,
        }
        with self._told(), writing(self._engine) as connection:
            insert_missing(connection, schema.rules, [values])

    def note_identity(self, role: str, digest: str) -> None:
        """Keep the digest of the artefact that a role said it runs."""
        with writing(self._engine) as connection:
            write_identity(connection, role, digest)

    def note_key(self, key: bytes) -> None:
        """Keep the digest of the key by which inputs are told apart from now on."""
        digest = sha256(key).hexdigest()[:16]
        with self._told(), writing(self._engine) as connection:
            write_identity(connection, KEY, digest)

    def join_labels(self, given: Sequence[TrueLabel]) -> Joined:
        """Join true labels to the inputs they belong to."""
        with writing(self._engine) as connection:
            return write_labels(connection, given)

    def undo_labels(self, given: Sequence[Labelling]) -> int:
        """Take labels back; return how many there were."""
        with writing(self._engine) as connection:
            return undo_labels(connection, given)

    def begin_lanes(self, noise_share: float, mutant_share: float) -> str:
        """Return the seed by which the lanes draw, kept for as long as they are so."""
        with self._told(), writing(self._engine) as connection:
            return begin_lanes(connection, noise_share, mutant_share)

    def write(self, batch: Batch) -> None:
        """Commit one batch: all of it or none of it; `has_written` knows which."""
        number = self._written + 1
        with writing(self._engine) as connection:
            names, self._names = self._names or read_names(connection), None
            items = names.limited(batch.comparisons)
            counts = Counter(batch.counts)
            for item in items:
                counts[item.router_id, item.difference.fate] += 1
            _add_counters(connection, "collector", counts)
            write_rows(connection, items)
            write_discrepancies(connection, items, self._keep)
            _write_sums(connection, items)
            write_evidence(connection, items, names)
            write_trials(connection, batch.trials)
            limits = write_samples(connection, items, self._limits)
            step = note_history(connection, time.time_ns(), self._step)
            _write_gauges(connection, batch)
            mark = {"writer_id": self._writer_id, "batch": number}
            put(connection, schema.writers, [mark])
        self._written = number
        # Only what was committed counts.
        self._limits, self._step, self._names = limits, step, names

    def has_written(self) -> bool:
        """
        Return whether the batch whose writing failed last was committed after all.

        A connection may break when the commit is done and not yet confirmed. Waiting
        for our turn sees the end of a transaction that the server still works on.
        """
        query = sa.select(schema.writers.c.batch).where(
            schema.writers.c.writer_id == self._writer_id
        )
        # One file on this machine is read even while another holds it, or when full.
        begin = writing(self._engine) if self.is_shared else self._engine.begin()
        with begin as connection:
            found = connection.scalar(query) or 0
        is_written = found > self._written
        self._written = found
        return is_written

    def prune(self) -> bool:
        """Let go of some that is over the limits; return whether more is."""
        with writing(self._engine) as connection:
            return prune(connection, self._keep, self._ageing)

    def finalise(
        self, router_id: str, received: int, fates: Mapping[Fate, int], crashed: int
    ) -> None:
        """Take over the books of a router that has ended; a second time is no-op."""
        with writing(self._engine) as connection:
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
            for table in (schema.flows, schema.pages):
                gone = sa.delete(table).where(table.c.router_id == router_id)
                connection.execute(gone)

    def known_of(self, router_id: str) -> tuple[int, int]:
        """
        Return what is known here of the exchanges that a router handed over.

        Returns
        -------
        tuple of int
            How many have a committed fate, and how many were lost on their way here as
            of the last commit.
        """
        c, flow = schema.counters.c, schema.flows.c
        settled = sa.select(sa.func.sum(c.n)).where(
            c.router_id == router_id, c.side == "collector"
        )
        lost = sa.select(flow.dropped_writer).where(flow.router_id == router_id)
        with self._engine.begin() as connection:
            found = connection.scalar(settled), connection.scalar(lost)
        return int(found[0] or 0), int(found[1] or 0)

    def is_final(self, router_id: str) -> bool:
        """Return whether a router's books have been taken over already."""
        known = sa.select(schema.finals).where(schema.finals.c.router_id == router_id)
        with self._engine.begin() as connection:
            return connection.execute(known).first() is not None

    def close(self) -> None:
        """Close the file or the connections."""
        self._engine.dispose()


def _add_counters(
    connection: sa.Connection, side: str, counts: Mapping[tuple[str, Fate], int]
) -> None:
    rows = (
        {"router_id": router_id, "side": side, "fate": fate.value, "n": n}
        for (router_id, fate), n in counts.items()
    )
    add(connection, schema.counters, rows)


def _write_gauges(connection: sa.Connection, batch: Batch) -> None:
    flows = (
        {
            "router_id": router_id,
            "taken": flow.taken,
            "open": flow.open,
            "dropped_writer": flow.dropped_writer,
        }
        for router_id, flow in batch.flows.items()
    )
    put(connection, schema.flows, flows)
    put(connection, schema.pages, map(_page, batch.pages))


def _page(page: Page) -> dict[str, object]:
    text = json.dumps(asdict(page))
    return {"router_id": page.router_id, "at_ns": time.time_ns(), "page": text}


def _write_sums(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    # Answers to a client's own fault are quick, and anybody's to have.
    items = [item for item in items if item.is_evidence]
    differences = [item.difference for item in items]
    pairs = Counter((row[0], row[1]) for one in differences for row in one.rows)
    versions = Counter(
        ("live", one.live_version, one.live_digest) for one in differences
    )
    versions.update(
        ("shadow", one.shadow_version, one.shadow_digest) for one in differences
    )
    seen = {
        "live": [item.live for item in items],
        "shadow": [item.shadow for item in items if item.shadow is not None],
    }
    confusion = ({"live": a, "shadow": b, "n": n} for (a, b), n in pairs.items())
    add(connection, schema.confusion, confusion)
    seen_as = (
        {"role": role, "version": version, "digest": digest, "n": n}
        for (role, version, digest), n in versions.items()
        if version or digest
    )
    add(connection, schema.versions, seen_as)
    times = (
        {"role": role, "clock": clock, "bucket": bucket, "n": n, "sum_ms": total}
        for role, answers in seen.items()
        for clock, listed in (
            ("caller", [one.latency_ms for one in answers]),
            (
                "server",
                [one.predict_ms for one in answers if one.predict_ms is not None],
            ),
        )
        for bucket, (n, total) in histogram(listed).items()
    )
    add(connection, schema.latencies, times)
