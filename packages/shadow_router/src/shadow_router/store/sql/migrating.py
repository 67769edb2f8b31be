"""Bringing a store of an older version to the tables of this one."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from shadow_router.errors import StoreUnreadable
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import insert_into

#: The oldest layout that can be carried over: before it, rows do not say what the
#: gates ask.
_OLDEST = 2


def check_layout(connection: sa.Connection) -> None:
    """
    Refuse a store that is not of this layout; an empty one is of none.

    Raises
    ------
    StoreUnreadable
        If it was written by another version; says what to do.
    """
    found = _layout_of(connection)
    _refuse_unknown(found)
    if found is not None and found < schema.LAYOUT:
        raise StoreUnreadable(
            f"the store has layout {found}, this version reads {schema.LAYOUT}; "
            "start a collector of this version to bring it up to date"
        )


def prepare(connection: sa.Connection) -> None:
    """
    Make the tables, or bring older ones up to date; all of it or none of it.

    Raises
    ------
    StoreUnreadable
        If the store is newer than this version, or too old to be carried over.
    """
    found = _layout_of(connection)
    _refuse_unknown(found)
    schema.metadata.create_all(connection)
    if found is None:
        connection.execute(sa.insert(schema.layout).values(version=schema.LAYOUT))
        return
    for step in range(found, schema.LAYOUT):
        _STEPS[step](connection)
    if found < schema.LAYOUT:
        connection.execute(sa.update(schema.layout).values(version=schema.LAYOUT))


def is_empty(connection: sa.Connection) -> bool:
    """Return whether no collector has ever made its tables here."""
    return _layout_of(connection) is None


def _layout_of(connection: sa.Connection) -> int | None:
    names = sa.inspect(connection).get_table_names()
    if schema.counters.name not in names:
        return None
    if schema.layout.name not in names:
        return 1
    return connection.scalar(sa.select(schema.layout.c.version)) or 1


def _refuse_unknown(found: int | None) -> None:
    if found is None or _OLDEST <= found <= schema.LAYOUT:
        return
    is_newer = found > schema.LAYOUT
    advice = (
        "use a newer shadow_router"
        if is_newer
        else "its evidence cannot be carried over, begin again with an empty store"
    )
    raise StoreUnreadable(
        f"the store has layout {found}, this version reads {schema.LAYOUT}; {advice} "
        "(SHADOW_ROUTER_DATA_DIR, SHADOW_ROUTER_STORE_URL)"
    )


def _from_2(connection: sa.Connection) -> None:
    """Give each kept body its own row, and count what is kept."""
    bodies = sa.Table("bodies", sa.MetaData(), autoload_with=connection)
    row, table = schema.comparisons.c, schema.discrepancies
    size = sa.func.length(bodies.c.request) + sa.func.length(bodies.c.live)
    size += sa.func.coalesce(sa.func.length(bodies.c.shadow), 0)
    moved: dict[str, sa.ColumnElement[Any]] = {"bytes": size, "route": sa.literal("")}
    moved |= {name: bodies.c[name] for name in ("request", "live", "shadow")}
    names = [column.name for column in table.columns]
    columns = [moved[name] if name in moved else row[name] for name in names]
    whole = sa.select(*columns).join_from(
        bodies, schema.comparisons, row.id == bodies.c.comparison_id
    )
    connection.execute(sa.insert(table).from_select(names, whole))
    totals = (sa.func.count(), sa.func.sum(table.c.bytes))
    by_fate = sa.select(table.c.fate, *totals).group_by(table.c.fate)
    kept = ["name", "n", "bytes"]
    connection.execute(sa.insert(schema.kept).from_select(kept, by_fate))
    inputs = sa.select(sa.func.count()).select_from(schema.inputs)
    seen = {"name": schema.INPUTS, "n": connection.scalar(inputs), "bytes": 0}
    connection.execute(insert_into(connection.dialect, schema.kept), seen)
    bodies.drop(connection)


def _from_3(connection: sa.Connection) -> None:
    """Leave all as it is: what is new is in tables of its own, made before."""


_STEPS: dict[int, Callable[[sa.Connection], None]] = {2: _from_2, 3: _from_3}
