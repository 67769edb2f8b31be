"""True labels of the inputs on which the versions disagree: the others need none."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from shadow_router.store import samples
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import insert
from shadow_router.values import Unit
from shadow_router.verdict.evidence import Labelled, Tallies

#: Inputs whose labels are asked for at once, and labels that are shown again.
WANTED, LAST = 50, 5
# The first answers to each unique input, where they differ; few, where inputs are many.
flips = sa.Table(
    "flips",
    schema.metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("request_id", schema.Words, nullable=False, index=True),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("live", schema.Words, nullable=False),
    sa.Column("shadow", schema.Words, nullable=False),
    sa.Column("margin", sa.Float),
    # What it really was, once that is known.
    sa.Column("label", schema.Words),
)
# When each label came, so that the last can be told and taken back.
label_times = sa.Table(
    "label_times",
    schema.metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Labelling:
    """Which row of which request a label is of."""

    request_id: str
    row: int


@dataclass(frozen=True, slots=True)
class TrueLabel(Labelling):
    """What a row of a request really was."""

    label: str


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of labels."""

    joined: int = 0
    #: Known already, with the same label.
    repeated: int = 0
    #: The versions do not disagree there, or nothing is known of such a row.
    unused: int = 0
    #: Known already, with another label, which stays: their places in what was sent.
    conflicting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row on which the versions disagree and whose label would say who is right."""

    request_id: str
    row: int
    live: str
    shadow: str
    margin: float | None
    #: Canonical JSON of the row; None where the rules or its length withhold it.
    input: bytes | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A label that was given, and what the versions had said."""

    request_id: str
    row: int
    live: str
    shadow: str
    margin: float | None
    label: str


@dataclass(frozen=True, slots=True)
class LabelTotals:
    """The labels so far; `flips` counts those that have one."""

    flips: int = 0
    live_alone_right: int = 0
    shadow_alone_right: int = 0
    wanted: tuple[Wanted, ...] = ()
    #: The newest first.
    last: tuple[Given, ...] = ()


def write_flips(
    connection: sa.Connection, found: Iterable[tuple[str, int, Unit]]
) -> None:
    """Keep which request brought each new input on which the versions disagree."""
    rows = [
        {
            "digest": unit.digest,
            "request_id": request_id,
            "row": row,
            "live": unit.row.live,
            "shadow": unit.row.shadow,
            "margin": unit.row.margin,
        }
        for request_id, row, unit in found
    ]
    insert(connection, flips, rows)


def write_labels(connection: sa.Connection, given: Sequence[TrueLabel]) -> Joined:
    """Join labels to the inputs they belong to; each input keeps its first label."""
    joined = repeated = unused = 0
    conflicting: list[int] = []
    for place, one in enumerate(given):
        flip = _flip(connection, one)
        if flip is None:
            unused += 1
        elif flip.label is None:
            _set_label(connection, flip.digest, one.label)
            came = {"digest": flip.digest, "at_ns": time.time_ns()}
            connection.execute(sa.insert(label_times), came)
            joined += 1
        elif flip.label == one.label:
            repeated += 1
        else:
            conflicting.append(place)
    return Joined(joined, repeated, unused, tuple(conflicting))


def undo_labels(connection: sa.Connection, given: Sequence[Labelling]) -> int:
    """Take labels back, as if they had never come; return how many there were."""
    undone = 0
    for one in given:
        flip = _flip(connection, one)
        if flip is not None and flip.label is not None:
            _set_label(connection, flip.digest, None)
            came = label_times.c.digest == flip.digest
            connection.execute(sa.delete(label_times).where(came))
            undone += 1
    return undone


def _set_label(connection: sa.Connection, digest: bytes, label: str | None) -> None:
    named = sa.update(flips).where(flips.c.digest == digest)
    connection.execute(named.values(label=label))


def _flip(connection: sa.Connection, one: Labelling) -> sa.Row[tuple[object]] | None:
    """Return the one flip of a row; None also where an id was used twice."""
    where = (flips.c.request_id == one.request_id, flips.c.row == one.row)
    found = connection.execute(sa.select(flips).where(*where).limit(2)).all()
    return found[0] if len(found) == 1 else None


def read_labels(connection: sa.Connection) -> LabelTotals:
    """Return the sums, and the flips whose labels are asked for."""
    # A store that no collector has opened since there were labels has no table.
    if not sa.inspect(connection).has_table(flips.name):
        return LabelTotals()
    c = flips.c
    sums = connection.execute(
        sa.select(
            sa.func.count(c.label),
            sa.func.count(sa.case((c.label == c.live, 1))),
            sa.func.count(sa.case((c.label == c.shadow, 1))),
        )
    ).one()
    # By digest, which is no order at all: whoever labels the first few has labelled
    # a fair sample.
    seen = samples.samples.c
    is_same = (seen.digest == c.digest) & (seen.stratum == "flip")
    open_ones = (
        sa.select(c.request_id, c.row, c.live, c.shadow, c.margin, seen.input)
        .select_from(flips.outerjoin(samples.samples, is_same))
        .where(c.label.is_(None))
        .order_by(c.digest)
    )
    rows = connection.execute(open_ones.limit(WANTED))
    wanted = tuple(Wanted(*row) for row in rows)
    return LabelTotals(*sums, wanted=wanted, last=_last(connection))


def _last(connection: sa.Connection) -> tuple[Given, ...]:
    """Return the labels that came last."""
    # A store that no collector of this version has opened has no table.
    if not sa.inspect(connection).has_table(label_times.name):
        return ()
    c, came = flips.c, label_times.c
    query = (
        sa.select(c.request_id, c.row, c.live, c.shadow, c.margin, c.label)
        .select_from(flips.join(label_times, came.digest == c.digest))
        .order_by(came.at_ns.desc(), c.digest)
        .limit(LAST)
    )
    return tuple(Given(*row) for row in connection.execute(query))


def labelled(totals: LabelTotals, tallies: Tallies) -> Labelled | None:
    """
    Return the labels as evidence; None until the first.

    Only flips can be lost or won, so a share of them that was labelled says as much as
    labels of that share of all inputs: an input on which both agree needs none.
    """
    if not totals.flips:
        return None
    inputs = tallies.inputs * totals.flips / tallies.flips
    right = (totals.live_alone_right, totals.shadow_alone_right)
    return Labelled(inputs, *right, labels=totals.flips)
