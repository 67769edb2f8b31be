"""
How much is kept, and letting go of the rest in small steps.

Counters, sums and sketches are never pruned: a verdict does not change by it. Each
step is one short transaction of its own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shadow_router.store.ageing import Ageing
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import add
from shadow_router.values import Fate

#: Rows of comparisons, and of inputs, that one step lets go of.
_STEP = 2000
#: Discrepancies carry bodies; fewer of them go at once.
_BODIES_STEP = 100


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept at most."""

    comparisons: int = 1_000_000
    #: Of each fate, with their bodies.
    discrepancies: int = 1000
    #: Of all bodies together.
    body_bytes: int = 256 * 1024 * 1024
    #: Of a running collector, after which rows and bodies go, however few they are.
    days: float = 30.0
    #: Digests of inputs; beyond it, a random half of all inputs no longer counts.
    inputs: int = 10_000_000


def prune(connection: sa.Connection, keep: Keep, ageing: Ageing) -> bool:
    """Take one step, and return whether there is another to take."""
    comparison_id, discrepancy_id = ageing.stale(connection, keep.days)
    return any(
        [
            _prune_comparisons(connection, keep.comparisons, comparison_id),
            _prune_discrepancies(connection, keep, discrepancy_id),
            _prune_inputs(connection, keep.inputs),
        ]
    )


def _prune_comparisons(connection: sa.Connection, most: int, stale_id: int) -> bool:
    row = schema.comparisons.c
    oldest: int | None = connection.scalar(sa.select(sa.func.min(row.id)))
    last = connection.scalar(sa.select(sa.func.max(row.id))) or 0
    # Numbers have no gaps, since rows go from the lower end alone.
    beyond: int = max(last - most, stale_id) + 1
    if oldest is None or oldest >= beyond:
        return False
    end = min(oldest + _STEP, beyond)
    by_fate = sa.select(row.fate, sa.func.count()).where(row.id < end)
    gone = connection.execute(by_fate.group_by(row.fate)).all()
    connection.execute(sa.delete(schema.comparisons).where(row.id < end))
    add(connection, schema.pruned, ({"fate": fate, "n": n} for fate, n in gone))
    return end < beyond


def _prune_discrepancies(connection: sa.Connection, keep: Keep, stale_id: int) -> bool:
    row = schema.discrepancies.c
    first = sa.select(row.id, row.fate, row.bytes).order_by(row.id)
    is_stale = first.where(row.id <= stale_id).limit(_BODIES_STEP)
    stale = connection.execute(is_stale).all()
    _let_go(connection, stale)
    is_more = len(stale) == _BODIES_STEP
    for fate, (n, _) in _sizes_of_fates(connection).items():
        excess = min(n - keep.discrepancies, _BODIES_STEP)
        if excess > 0:
            of_fate = first.where(row.fate == fate).limit(excess)
            _let_go(connection, connection.execute(of_fate).all())
            is_more |= excess == _BODIES_STEP
    return _prune_bytes(connection, first, keep.body_bytes) or is_more


def _prune_bytes(connection: sa.Connection, first: sa.Select[Any], most: int) -> bool:
    sizes = {fate: size for fate, (_, size) in _sizes_of_fates(connection).items()}
    excess = sum(sizes.values()) - most
    if excess <= 0:
        return False
    # The fate that takes the most room gives it: a flood hides no rarity.
    largest = max(sizes, key=lambda fate: sizes[fate])
    of_fate = first.where(schema.discrepancies.c.fate == largest)
    going: list[Any] = []
    for found in connection.execute(of_fate.limit(_BODIES_STEP)):
        if excess > 0:
            going.append(found)
            excess -= found.bytes
    _let_go(connection, going)
    return excess > 0


def _sizes_of_fates(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    kept = read_kept(connection)
    return {name: kept[name] for name in kept.keys() & set(Fate)}


def _let_go(connection: sa.Connection, rows: Sequence[Any]) -> None:
    # `Any`: a row's type says what its columns are, and not what they are called.
    if not rows:
        return
    numbers, sizes = Counter[str](), Counter[str]()
    for found in rows:
        numbers[found.fate] -= 1
        sizes[found.fate] -= found.bytes
    ids = [found.id for found in rows]
    table = schema.discrepancies
    connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    less = ({"name": f, "n": n, "bytes": sizes[f]} for f, n in numbers.items())
    add(connection, schema.kept, less)


def _prune_inputs(connection: sa.Connection, most: int) -> bool:
    """
    Let the upper half of all digests go when there are too many.

    What they were evidence of stays in the sums, and they never count again: which
    half an input is in says nothing about its answers.
    """
    sizes = read_kept(connection)
    halvings = sizes.get(schema.HALVINGS, (0, 0))[0]
    digest = schema.inputs.c.digest
    over = sa.select(digest).where(digest >= first_uncounted(halvings)).limit(_STEP)
    gone = 0
    if halvings:
        table = sa.delete(schema.inputs).where(digest.in_(over))
        gone = connection.execute(table).rowcount
        less = {"name": schema.INPUTS, "n": -gone, "bytes": 0}
        add(connection, schema.kept, [less] if gone else [])
    if gone or sizes.get(schema.INPUTS, (0, 0))[0] <= most:
        return gone > 0
    once = {"name": schema.HALVINGS, "n": 1, "bytes": 0}
    add(connection, schema.kept, [once])
    return True


def first_uncounted(halvings: int) -> bytes:
    """Return the least digest that no longer counts; no digest reaches it at first."""
    if not halvings:
        return b"\xff" * 17
    return (1 << (128 - halvings)).to_bytes(16, "big")


def read_kept(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    """Return number and bytes of what is kept, by name."""
    rows = connection.execute(sa.select(schema.kept))
    return {row.name: (row.n, row.bytes) for row in rows}
