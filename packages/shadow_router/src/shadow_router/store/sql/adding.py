"""
Adding rows, to sums or as they are: one statement for all the rows of a batch.

Each statement is built and compiled once, and values go to the driver as they are: for
rows by the thousand, working all that out anew was a third of the store's time.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shadow_router.store.sql.schema import without_nul

Insert = sqlite.Insert | postgresql.Insert
Rows = Iterable[Mapping[str, Any]]
#: What to do with a row that is there already.
Clash = Literal["refuse", "add", "replace", "leave"]


def insert_into(dialect: sa.Dialect, table: sa.Table) -> Insert:
    """Return an insert that may say what to do when the row is already there."""
    if dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Insert the rows, none of which is there."""
    _run(connection, table, "refuse", rows)


def insert_tuples(
    connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows by the thousand: every column in its order, and texts without NUL."""
    if not rows:
        return
    names = tuple(column.name for column in table.columns)
    text, order = _compiled(connection.dialect, table, "refuse", names)
    assert order == names
    if connection.dialect.positional:
        connection.exec_driver_sql(text, list(rows))
    else:
        named = [dict(zip(names, one, strict=True)) for one in rows]
        connection.exec_driver_sql(text, named)


def add(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Insert the rows, or add their numbers to those already there."""
    _run(connection, table, "add", rows)


def put(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Insert the rows, or replace those already there."""
    _run(connection, table, "replace", rows)


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Insert the rows whose keys are not there yet."""
    _run(connection, table, "leave", rows)


def _run(connection: sa.Connection, table: sa.Table, clash: Clash, rows: Rows) -> None:
    listed = list(rows)
    if not listed:
        return
    dialect, names = connection.dialect, tuple(listed[0])
    text, order = _compiled(dialect, table, clash, names)
    # Values pass by the types of the columns, and so by what `Words` does.
    values = [[without_nul(row[name]) for name in order] for row in listed]
    if dialect.positional:
        connection.exec_driver_sql(text, [tuple(one) for one in values])
    else:
        named = [dict(zip(order, one, strict=True)) for one in values]
        connection.exec_driver_sql(text, named)


@lru_cache(maxsize=256)
def _compiled(
    dialect: sa.Dialect, table: sa.Table, clash: Clash, names: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """Return a statement's text and its values' names in the driver's order."""
    statement = _joined(insert_into(dialect, table), table, clash)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order = getattr(compiled, "positiontup", None) or names
    return str(compiled), tuple(order)


def _joined(statement: Insert, table: sa.Table, clash: Clash) -> Insert:
    if clash == "refuse":
        return statement
    if clash == "leave":
        return statement.on_conflict_do_nothing()
    keys = [column.name for column in table.primary_key]
    others = [column for column in table.columns if column.name not in keys]
    values: dict[str, Any] = {one.name: statement.excluded[one.name] for one in others}
    if clash == "add":
        values = {one.name: one + values[one.name] for one in others}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)
