"""Adding to sums: one statement for all the rows of a batch."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert


def add(
    connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]
) -> None:
    """Insert the rows, or add their numbers to those already there."""
    listed = list(rows)
    if not listed:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    numbers = {
        column.name: column + statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    connection.execute(statement.on_conflict_do_update(keys, set_=numbers), listed)


def insert_missing(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]
) -> None:
    """Insert the rows whose keys are not there yet."""
    connection.execute(insert(table).on_conflict_do_nothing(), rows)
