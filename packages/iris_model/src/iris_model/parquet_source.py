"""
Read Parquet in pieces of row groups, large groups in several pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from iris_model.errors import ScoringFailed
from iris_model.files import File, reading
from iris_model.sources import BLOCK_ROWS, Rows
from iris_model.text import can_spell, join_text, spell_column, spell_names

PIECE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file; ``groups`` holds the number of rows of each row group."""

    path: File
    schema: Any
    groups: tuple[int, ...]
    row_bytes: int

    @property
    def file(self) -> str:
        """Name for people."""
        return self.path.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.schema.names)

    @property
    def header(self) -> str:
        """Names of the columns as a line of CSV, without its end."""
        return spell_names(self.columns)

    @property
    def line_end(self) -> str:
        """What ends a line of CSV output."""
        return "\n"

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(self.groups)

    def check(self, features: Sequence[str], as_text: bool) -> None:
        """Raise if a column has no form in CSV."""
        for field in self.schema:
            if as_text and not can_spell(field.type):
                reason = f"column {field.name} is {field.type}, which CSV cannot hold"
                raise ScoringFailed(self.file, reason)

    def pieces(self) -> Iterator[ParquetPiece]:
        """Yield pieces of about as many bytes, none of them empty."""
        limit = max(PIECE_BYTES // self.row_bytes, BLOCK_ROWS)
        begin, rows = 0, 0
        groups: list[int] = []
        for group, count in enumerate(self.groups):
            if rows and rows + count > limit:
                yield from self._cut(begin, tuple(groups), rows, limit)
                begin, groups, rows = begin + rows, [], 0
            groups.append(group)
            rows += count
        if rows:
            yield from self._cut(begin, tuple(groups), rows, limit)

    def _cut(
        self, begin: int, groups: tuple[int, ...], rows: int, limit: int
    ) -> Iterator[ParquetPiece]:
        parts = -(-rows // limit)
        edges = [rows * part // parts for part in range(parts + 1)]
        for low, high in zip(edges, edges[1:], strict=False):
            yield ParquetPiece(self, begin + low, begin + high, groups, low)


def open_parquet(path: File) -> ParquetSource:
    """
    Return a Parquet source from the footer of its file.

    Raises
    ------
    ScoringFailed
        If it is not Parquet.
    """
    try:
        with reading(path.name):
            opened = path.opened()
        with pq.ParquetFile(opened) as file:
            metadata, schema = file.metadata, file.schema_arrow
    except pa.ArrowInvalid:
        raise ScoringFailed(path.name, "is not a Parquet file") from None
    except OSError as error:
        raise ScoringFailed(path.name, " ".join(str(error).split())) from None
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    content = sum(group.total_byte_size for group in groups)
    # Encoded columns are wider once read.
    row_bytes = max(content // max(metadata.num_rows, 1), 8 * len(schema)) + 40
    counts = tuple(group.num_rows for group in groups)
    return ParquetSource(path, schema, counts, row_bytes)


@dataclass(frozen=True, slots=True)
class ParquetPiece:
    """Rows ``begin`` to ``stop`` of the file: in ``groups``, after ``skip`` rows."""

    source: ParquetSource
    begin: int
    stop: int
    groups: tuple[int, ...]
    skip: int

    def moved(self, begin: int) -> ParquetPiece:
        """Return this piece: the place of a row in Parquet is no guess."""
        return self

    def read(self, features: Sequence[str], as_text: bool) -> Iterator[Rows]:
        """Yield the rows."""
        begin = self.begin
        for batch in self._read_batches():
            table = pa.Table.from_batches([batch], self.source.schema)
            text = None
            if as_text:
                text = join_text([*self._spell(table), ""], ",")
            yield Rows(
                len(table),
                [_to_numbers(table[name]) for name in features],
                None if as_text else table,
                text,
                {},
                begin,
                begin + len(table),
            )
            begin += len(table)

    def _spell(self, table: Any) -> Iterator[Any]:
        for name, column in zip(table.column_names, table.columns, strict=True):
            try:
                yield spell_column(column)
            except ValueError as error:  # Arrow's errors are such
                reason = f"column {name}: {' '.join(str(error).split())}"
                raise ScoringFailed(self.source.file, reason) from None

    def _read_batches(self) -> Iterator[Any]:
        try:
            yield from self._cut_batches()
        except (pa.ArrowInvalid, OSError) as error:
            reason = f"cannot be read: {' '.join(str(error).split())}"
            raise ScoringFailed(self.source.file, reason) from None

    def _cut_batches(self) -> Iterator[Any]:
        skip, left = self.skip, self.stop - self.begin
        # Buffered, so that a group of any size is never held as a whole.
        with pq.ParquetFile(self.source.path.opened(), buffer_size=1 << 20) as file:
            batches = file.iter_batches(
                BLOCK_ROWS, row_groups=list(self.groups), use_threads=False
            )
            for batch in batches:
                rows = batch.slice(skip, left)
                skip = max(skip - len(batch), 0)
                left -= len(rows)
                if len(rows):
                    yield rows
                if not left:
                    break


def _to_numbers(column: Any) -> Any:
    """Return a column as float64; one of another kind than numbers as nulls."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_decimal(kind):
        # Arrow's own way is off by one in the last place for some.
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pc.cast(column, pa.float64(), safe=False)
    return pa.chunked_array([pa.nulls(len(column), pa.float64())])
