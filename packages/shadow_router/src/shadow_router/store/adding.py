"""Adding to sums, and replacing: one statement for all the rows of a batch."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """Return an insert that may say what to do when the row is already there."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def add(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert the rows, or add their numbers to those already there."""
    _upsert(connection, table, rows, lambda there, given: there + given)


def put(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert the rows, or replace those already there."""
    _upsert(connection, table, rows, lambda there, given: given)


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Iterable[Mapping[str, Any]],
    joined: Callable[[sa.Column[Any], Any], Any],
) -> None:
    listed = list(rows)
    if not listed:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert_into(connection, table)
    values = {
        column.name: joined(column, statement.excluded[column.name])
        for column in table.columns
        if column.name not in keys
    }
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=values)
    connection.execute(upsert, listed)


def insert_missing(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]
) -> None:
    """Insert the rows whose keys are not there yet."""
    connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)
