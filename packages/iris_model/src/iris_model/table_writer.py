"""
Write scored blocks, in order, into one stream of CSV or Parquet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Write = Callable[[Any], None]

# So many rows tell which columns repeat.
HEAD_ROWS = 1 << 16


@contextlib.contextmanager
def write_csv(stream: IO[bytes], header: str) -> Iterator[Write]:
    """
    Give a function that writes lists of blocks of lines.

    Parameters
    ----------
    stream : binary file
        Left open.
    header : str
        The first line, with its end.
    """
    stream.write(header.encode())
    yield stream.writelines


@contextlib.contextmanager
def write_parquet(stream: IO[bytes], schema: Any) -> Iterator[Write]:
    """
    Give a function that writes tables of one schema.

    Parameters
    ----------
    stream : binary file
        Left open.
    schema : Schema
        Of the tables.
    """
    writer = None

    def write(table: Any) -> None:
        nonlocal writer
        if writer is None:
            writer = _open_writer(stream, table)
        writer.write_table(table)

    try:
        yield write
    except BaseException:
        # The stream is about to be thrown away, and may be full.
        with contextlib.suppress(OSError, pa.ArrowException):
            if writer is not None:
                writer.close()
        raise
    if writer is None:
        writer = _open_writer(stream, schema.empty_table())
    writer.close()


def _open_writer(stream: IO[bytes], first: Any) -> pq.ParquetWriter:
    """Return a writer with dictionaries for columns whose values repeat."""
    # A dictionary of what does not repeat, such as ids, takes most of the time.
    head = first.slice(0, HEAD_ROWS)
    names = [name for name in head.column_names if _repeats(head[name])]
    return pq.ParquetWriter(stream, first.schema, use_dictionary=names)


def _repeats(column: Any) -> bool:
    if pa.types.is_dictionary(column.type):
        return True
    try:
        return bool(2 * pc.count_distinct(column).as_py() < len(column))
    except pa.ArrowNotImplementedError:  # nested, among others
        return False
