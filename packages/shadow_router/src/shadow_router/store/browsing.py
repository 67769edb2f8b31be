"""
Reading for people: kept discrepancies, sampled inputs, the past of the bounds.

Everything here is bounded by what is kept, never by what was compared.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from shadow_router.store import samples
from shadow_router.store.reading import Discrepancy, reading
from shadow_router.store.sql import schema
from shadow_router.values import Fate

#: Kept discrepancies that are looked through, newest first.
_LOOKED_THROUGH = 5000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which discrepancies are asked for; empty text asks for any."""

    fate: str = ""
    live: str = ""
    shadow: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what a filter finds."""

    total: int
    items: tuple[Discrepancy, ...]
    #: All kept, by fate.
    kept: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled input: the canonical JSON of a row, and what was said of it."""

    input: bytes
    live: str
    shadow: str
    margin: float | None

    @property
    def is_flip(self) -> bool:
        """Return whether the labels differ."""
        return self.live != self.shadow


@dataclass(frozen=True, slots=True)
class Moment:
    """The sums behind three gates when the evidence had grown by a step."""

    at_ns: int
    inputs: int
    flips: int
    measured: int
    confident_flips: int
    distance: float
    squared_distance: float


@dataclass(frozen=True, slots=True)
class MarginBin:
    """Unique inputs by how far live's best class led; `high` is not included."""

    low: float
    high: float
    inputs: int
    flips: int


@dataclass(frozen=True, slots=True)
class Details:
    """What a report shows beyond the sums."""

    found: Found
    flips: tuple[Sample, ...]
    agreeing: tuple[Sample, ...]
    history: tuple[Moment, ...]
    margins: tuple[MarginBin, ...]


def read_details(
    directory: Path,
    wanted: Filter,
    skip: int,
    take: int,
    url: SecretStr | None = None,
) -> Details:
    """
    Return discrepancies by a filter and what diagnosis needs, as of one moment.

    Parameters
    ----------
    directory : Path
        The data directory.
    wanted : Filter
        Which discrepancies to count and to return.
    skip, take : int
        How many of them to leave out, and to return at most; newest first.
    url : SecretStr, optional
        Of the store, when it is not in the data directory.
    """
    with reading(directory, url) as connection:
        flips, agreeing = (_samples(connection, name) for name in samples.STRATA)
        return Details(
            found=_found(connection, wanted, skip, take),
            flips=flips,
            agreeing=agreeing,
            history=_history(connection),
            margins=_margins(connection),
        )


def _found(connection: sa.Connection, wanted: Filter, skip: int, take: int) -> Found:
    c = schema.discrepancies.c
    kept = connection.execute(
        sa.select(c.id, c.fate, c.live_labels, c.shadow_labels)
        .order_by(c.id.desc())
        .limit(_LOOKED_THROUGH)
    ).all()
    ids = [
        row_id
        for row_id, fate, live, shadow in kept
        if _is_wanted(fate, live, shadow, wanted)
    ]
    counts = Counter(fate for _, fate, _, _ in kept)
    items = _discrepancies(connection, ids[skip : skip + take])
    return Found(len(ids), tuple(items), counts)


def _is_wanted(fate: str, live: str, shadow: str, wanted: Filter) -> bool:
    if wanted.fate and fate != wanted.fate:
        return False
    if not (wanted.live or wanted.shadow):
        return True
    return any(
        (not wanted.live or ours == wanted.live[:64])
        and (not wanted.shadow or its == wanted.shadow[:64])
        for ours, its in _label_pairs(live, shadow)
    )


def _label_pairs(live: str, shadow: str) -> Iterator[tuple[str, str]]:
    # A label may hold a comma: taken whole as well, which is right for one row.
    yield live, shadow
    yield from zip(live.split(", "), shadow.split(", "), strict=False)


def _discrepancies(
    connection: sa.Connection, ids: Sequence[int]
) -> Iterator[Discrepancy]:
    table = schema.discrepancies
    chosen = sa.select(table).where(table.c.id.in_(ids)).order_by(table.c.id.desc())
    for row in connection.execute(chosen):
        yield Discrepancy(
            request_id=row.request_id,
            at_ns=row.at_ns,
            fate=Fate(row.fate),
            reason=row.reason,
            live_labels=row.live_labels,
            shadow_labels=row.shadow_labels,
            max_delta=row.max_delta,
            live_margin=row.live_margin,
            live_status=row.live_status,
            shadow_status=row.shadow_status,
            route=row.route,
            request=row.request,
            live=row.live,
            shadow=row.shadow,
        )


def _samples(connection: sa.Connection, stratum: str) -> tuple[Sample, ...]:
    c = samples.samples.c
    chosen = (
        sa.select(c.input, c.live, c.shadow, c.margin)
        .where(c.stratum == stratum)
        .order_by(c.digest)
        .limit(samples.KEPT_INPUTS)
    )
    return tuple(Sample(*row) for row in connection.execute(chosen))


def _history(connection: sa.Connection) -> tuple[Moment, ...]:
    table = samples.history
    columns = [column for column in table.c if column.name != "step"]
    rows = connection.execute(sa.select(*columns).order_by(table.c.step))
    return tuple(Moment(*row) for row in rows)


def _margins(connection: sa.Connection) -> tuple[MarginBin, ...]:
    table = schema.margins
    rows = connection.execute(sa.select(table)).all()
    seen = {row.bucket: row for row in rows}
    width = 1 / schema.MARGIN_BINS
    return tuple(
        MarginBin(
            at * width,
            (at + 1) * width,
            seen[at].n if at in seen else 0,
            seen[at].flips if at in seen else 0,
        )
        for at in range(schema.MARGIN_BINS)
        if seen
    )
