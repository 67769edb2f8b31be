"""
What a report draws beyond the sums: a bounded sample of inputs, and the past bounds.

Digests are as good as random, so the inputs with the smallest ones are an even sample
of all unique inputs: no random numbers, and a repeat changes nothing.
"""

from collections.abc import Iterable, Mapping
from math import log

import sqlalchemy as sa

from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import insert_missing
from shadow_router.values import Comparison

#: Inputs kept of each stratum: those whose label flips, and those that agree.
KEPT_INPUTS = 400
STRATA = ("flip", "agree")
#: One row of the history for each growth of the evidence by so much: 300 rows carry
#: it to 10^10 inputs.
_GROWTH = 1.08

samples = sa.Table(
    "samples",
    schema.metadata,
    sa.Column("stratum", schema.Words, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("input", sa.LargeBinary, nullable=False),
    sa.Column("live", schema.Words, nullable=False),
    sa.Column("shadow", schema.Words, nullable=False),
    sa.Column("margin", sa.Float),
)
# The sums as they were when the evidence had grown by another step.
history = sa.Table(
    "history",
    schema.metadata,
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("inputs", sa.BigInteger, nullable=False),
    sa.Column("flips", sa.BigInteger, nullable=False),
    sa.Column("measured", sa.BigInteger, nullable=False),
    sa.Column("confident_flips", sa.BigInteger, nullable=False),
    sa.Column("distance", sa.Float, nullable=False),
    sa.Column("squared_distance", sa.Float, nullable=False),
)
#: Beyond which digest a stratum takes no more; none while it is not full.
Limits = Mapping[str, bytes]


def write_samples(
    connection: sa.Connection, items: Iterable[Comparison], limits: Limits
) -> Limits:
    """Add the inputs that belong to the sample; return the limits from now on."""
    rows = list(_sampled(items, limits))
    if not rows:
        return limits
    insert_missing(connection, samples, rows)
    changed = dict(limits)
    for stratum in {str(row["stratum"]) for row in rows}:
        limit = _cut(connection, stratum)
        if limit is not None:
            changed[stratum] = limit
    return changed


def _sampled(
    items: Iterable[Comparison], limits: Limits
) -> Iterable[dict[str, object]]:
    for unit in (unit for item in items for unit in item.units):
        stratum = "agree" if unit.row.live == unit.row.shadow else "flip"
        limit = limits.get(stratum)
        if unit.source and (limit is None or unit.digest < limit):
            yield {
                "stratum": stratum,
                "digest": unit.digest,
                "input": unit.source,
                "live": unit.row.live,
                "shadow": unit.row.shadow,
                "margin": unit.row.margin,
            }


def _cut(connection: sa.Connection, stratum: str) -> bytes | None:
    """Remove what is beyond the smallest digests; return the first beyond them."""
    c = samples.c
    beyond = (
        sa.select(c.digest)
        .where(c.stratum == stratum)
        .order_by(c.digest)
        .offset(KEPT_INPUTS)
        .limit(1)
    )
    limit: bytes | None = connection.scalar(beyond)
    if limit is not None:
        gone = (c.stratum == stratum) & (c.digest >= limit)
        connection.execute(sa.delete(samples).where(gone))
    return limit


def note_history(connection: sa.Connection, at_ns: int, noted: int) -> int:
    """Keep the sums if they have grown by a step; return the last step noted."""
    pairs = schema.pairs.c
    inputs = int(connection.scalar(sa.select(sa.func.sum(pairs.n))) or 0)
    step = int(log(inputs) / log(_GROWTH)) if inputs else -1
    if step <= noted:
        return noted
    changed = sa.select(sa.func.sum(pairs.n)).where(pairs.live != pairs.shadow)
    tallies = {row.name: row for row in connection.execute(sa.select(schema.tallies))}
    counts = {
        name: tallies[name].n if name in tallies else 0
        for name in ("measured", "confident_flips")
    }
    sums = {
        name: tallies[name].total if name in tallies else 0.0
        for name in ("distance", "squared_distance")
    }
    flips = int(connection.scalar(changed) or 0)
    row = {"step": step, "at_ns": at_ns, "inputs": inputs, "flips": flips}
    insert_missing(connection, history, [row | counts | sums])
    return step
