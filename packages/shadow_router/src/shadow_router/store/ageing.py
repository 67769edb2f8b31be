"""
How old the rows are, by the time that a collector ran: no set of a clock counts.

The clock of a machine may jump by weeks, and back a moment later. So each row's age is
taken from when it was committed, by a clock of the store's own, which runs while a
collector does.
"""

import time

import sqlalchemy as sa

from shadow_router.clocks import Clock
from shadow_router.store.sql import schema

_DAY_S = 86_400.0
#: Of the days that are kept: how often a moment is noted, and what a stop of the
#: collector counts at most, whatever the clock says of it.
_STEP, _LONGEST_STOP = 1 / 64, 1 / 30

# Up to which rows had been committed at a moment of the store's clock.
ages = sa.Table(
    "ages",
    schema.metadata,
    sa.Column("at_s", sa.Float, primary_key=True),
    # What the machine's clock said: how long a stop was.
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("comparison_id", sa.BigInteger, nullable=False),
    sa.Column("discrepancy_id", sa.BigInteger, nullable=False),
)


class Ageing:
    """The clock of a store as one collector sees it."""

    def __init__(self, steady: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._steady, self._wall = steady, wall
        self._now_s: float | None = None
        self._at = 0.0

    def stale(self, connection: sa.Connection, days: float) -> tuple[int, int]:
        """
        Return the last comparison and the last discrepancy older than so many days.

        Notes a moment where it is time to.
        """
        c, keep_s = ages.c, days * _DAY_S
        newest = connection.execute(sa.select(ages).order_by(c.at_s.desc())).first()
        now_s = self._advance(newest, keep_s)
        if newest is None or now_s - newest.at_s >= keep_s * _STEP:
            connection.execute(sa.insert(ages), self._moment(connection, now_s))
        is_old = c.at_s <= now_s - keep_s
        old = sa.select(ages).where(is_old).order_by(c.at_s.desc()).limit(1)
        last = connection.execute(old).first()
        if last is None:
            return 0, 0
        connection.execute(sa.delete(ages).where(c.at_s < last.at_s))
        return last.comparison_id, last.discrepancy_id

    def _advance(self, newest: sa.Row[tuple[object]] | None, keep_s: float) -> float:
        at = self._steady()
        noted_s = newest.at_s if newest else 0.0
        if self._now_s is None:
            stop_s = max(self._wall() - newest.wall_s, 0.0) if newest else 0.0
            now_s = noted_s + min(stop_s, keep_s * _LONGEST_STOP)
        else:
            # Others that share the store may have noted more; none counts for two.
            now_s = max(noted_s, self._now_s + at - self._at)
        self._now_s, self._at = now_s, at
        return now_s

    def _moment(self, connection: sa.Connection, now_s: float) -> dict[str, float]:
        tables = (schema.comparisons, schema.discrepancies)
        last = [last_id(connection, table) for table in tables]
        return {
            "at_s": now_s,
            "wall_s": self._wall(),
            "comparison_id": last[0],
            "discrepancy_id": last[1],
        }


def last_id(connection: sa.Connection, table: sa.Table) -> int:
    """Return the last number that a row was given, if need be one that has gone."""
    is_comparison = table is schema.comparisons
    noted = ages.c.comparison_id if is_comparison else ages.c.discrepancy_id
    there = connection.scalar(sa.select(sa.func.max(table.c.id))) or 0
    # All rows may be gone, and no number may come again: it would be an old one's.
    return max(there, connection.scalar(sa.select(sa.func.max(noted))) or 0)
