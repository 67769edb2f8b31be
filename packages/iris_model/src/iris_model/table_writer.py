"""
Write scored blocks, in order, into one stream of CSV or Parquet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

Write = Callable[[Any], None]


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
    # Measurements hardly repeat: a dictionary of them costs time and saves nothing.
    words = [field.name for field in schema if _repeats(field.type)]
    writer = pq.ParquetWriter(stream, schema, use_dictionary=words)
    try:
        yield writer.write_table
    except BaseException:
        # The stream is about to be thrown away, and may be full.
        with contextlib.suppress(OSError, pa.ArrowException):
            writer.close()
        raise
    writer.close()


def _repeats(kind: Any) -> bool:
    return bool(
        pa.types.is_dictionary(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )
