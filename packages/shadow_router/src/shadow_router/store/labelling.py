"""True labels: which input each belongs to, and the sums the labels gate asks for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from shadow_router.evidence import Labelled, Tallies
from shadow_router.records import Unit
from shadow_router.store import schema
from shadow_router.store.adding import add

#: Inputs whose labels are asked for at once.
WANTED = 50
# The first answers to each unique input, by the request that brought it.
answers = sa.Table(
    "answers",
    schema.metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("live", sa.Text, nullable=False),
    sa.Column("shadow", sa.Text, nullable=False),
    sa.Column("margin", sa.Float),
)
# Flips that have no label yet: few, where inputs are many.
unlabelled = sa.Table(
    "unlabelled",
    schema.metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
)
labels = sa.Table(
    "labels",
    schema.metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
)
label_sums = sa.Table(
    "label_sums",
    schema.metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class TrueLabel:
    """What a row of a request really was."""

    request_id: str
    row: int
    label: str


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of labels, by their places in what was sent."""

    joined: int = 0
    #: Known already, with the same label.
    repeated: int = 0
    #: No such row, or it is not the first of its input.
    unknown: tuple[int, ...] = ()
    #: Known already, with another label, which stays.
    conflicting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row on which the versions disagree and whose label would say who is right."""

    request_id: str
    row: int
    live: str
    shadow: str
    margin: float | None


@dataclass(frozen=True, slots=True)
class LabelTotals:
    """The labels so far; `inputs` and `flips` count those that have one."""

    inputs: int = 0
    flips: int = 0
    live_alone_right: int = 0
    shadow_alone_right: int = 0
    wanted: tuple[Wanted, ...] = ()


def write_answers(
    connection: sa.Connection, firsts: Iterable[tuple[str, int, Unit]]
) -> None:
    """Keep which request brought each new input, and what was said of it."""
    rows = [
        {
            "digest": unit.digest,
            "request_id": request_id,
            "row": row,
            "live": unit.row.live,
            "shadow": unit.row.shadow,
            "margin": unit.row.margin,
        }
        for request_id, row, unit in firsts
    ]
    if rows:
        connection.execute(sa.insert(answers), rows)
    flips = [{"digest": row["digest"]} for row in rows if row["live"] != row["shadow"]]
    if flips:
        connection.execute(sa.insert(unlabelled), flips)


def write_labels(connection: sa.Connection, given: Sequence[TrueLabel]) -> Joined:
    """Join labels to the inputs they belong to; each input keeps its first label."""
    sums: Counter[str] = Counter()
    joined = repeated = 0
    unknown: list[int] = []
    conflicting: list[int] = []
    for place, one in enumerate(given):
        answer = _answer(connection, one)
        if answer is None:
            unknown.append(place)
            continue
        known = connection.scalar(
            sa.select(labels.c.label).where(labels.c.digest == answer.digest)
        )
        if known is None:
            _join(connection, answer, one.label, sums)
            joined += 1
        elif known == one.label:
            repeated += 1
        else:
            conflicting.append(place)
    add(connection, label_sums, ({"name": k, "n": n} for k, n in sums.items()))
    return Joined(joined, repeated, tuple(unknown), tuple(conflicting))


def _answer(connection: sa.Connection, one: TrueLabel) -> sa.Row[tuple[object]] | None:
    """Return the one answer to a row; None also where an id was used twice."""
    where = (answers.c.request_id == one.request_id, answers.c.row == one.row)
    found = connection.execute(sa.select(answers).where(*where).limit(2)).all()
    return found[0] if len(found) == 1 else None


def _join(
    connection: sa.Connection,
    answer: sa.Row[tuple[object]],
    label: str,
    sums: Counter[str],
) -> None:
    row = {"digest": answer.digest, "label": label}
    connection.execute(sa.insert(labels), row)
    sums["inputs"] += 1
    if answer.live == answer.shadow:
        return
    gone = sa.delete(unlabelled).where(unlabelled.c.digest == answer.digest)
    connection.execute(gone)
    sums["flips"] += 1
    sums["live_alone_right"] += answer.live == label
    sums["shadow_alone_right"] += answer.shadow == label


def read_labels(connection: sa.Connection) -> LabelTotals:
    """Return the sums, and the flips whose labels are asked for."""
    # A store that no collector has opened since there were labels has no tables.
    if not sa.inspect(connection).has_table(label_sums.name):
        return LabelTotals()
    sums = {row.name: row.n for row in connection.execute(sa.select(label_sums))}
    # By digest, which is no order at all: whoever labels the first few has labelled
    # a fair sample.
    few = sa.select(unlabelled.c.digest).order_by(unlabelled.c.digest).limit(WANTED)
    rows = connection.execute(
        sa.select(answers).where(answers.c.digest.in_(few)).order_by(answers.c.digest)
    )
    wanted = tuple(
        Wanted(r.request_id, r.row, r.live, r.shadow, r.margin) for r in rows
    )
    return LabelTotals(**sums, wanted=wanted)


def labelled(totals: LabelTotals, tallies: Tallies) -> Labelled | None:
    """
    Return the labels as evidence; None until the first.

    Only flips can be lost or won, so a share of them that was labelled says as much as
    labels of that share of all inputs: an input on which both agree needs none.
    """
    if not totals.inputs:
        return None
    inputs: float = totals.inputs
    if totals.flips:
        inputs = max(inputs, tallies.inputs * totals.flips / tallies.flips)
    return Labelled(inputs, totals.live_alone_right, totals.shadow_alone_right)
