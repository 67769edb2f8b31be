"""
The files that are scored: what columns they have, in which pieces they are read.

A source and its pieces are small values that travel to the workers; a piece reads
its own rows there. CSV is in ``csv_source``, Parquet in ``parquet_source``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from iris_model.errors import ScoringFailed
from iris_model.validation import did_you_mean

# So many rows are worked on at once: what is made of them fits in memory that the next
# block uses again. Fresh memory for a whole piece costs as much as the arithmetic.
BLOCK_ROWS = 1 << 15


@dataclass(frozen=True, slots=True)
class Rows:
    """
    A block of rows of one piece, read.

    Attributes
    ----------
    count : int
        How many rows, :data:`BLOCK_ROWS` at most.
    features : list of ChunkedArray of double
        In the model's order; null where the value is missing or no number.
    table : Table or None
        All columns of the input, for Parquet output.
    text : StringArray or None
        All columns of the input as CSV, a comma behind each, for CSV output.
    faults : mapping of int to str
        Rows refused for a fault of their own.
    begin, end : int
        The place of the rows in the file; the next block or piece begins at ``end``.
    """

    count: int
    features: list[Any]
    table: Any
    text: Any
    faults: Mapping[int, str]
    begin: int
    end: int


class Piece(Protocol):
    """A part of one file that one task reads and scores."""

    @property
    def begin(self) -> int:
        """Where it is thought to begin."""

    @property
    def stop(self) -> int:
        """Where it is thought to end."""

    def moved(self, begin: int) -> Piece:
        """Return the piece that begins where the one before it truly ended."""

    def read(self, features: Sequence[str], as_text: bool) -> Iterator[Rows]:
        """Yield the rows in blocks, in order; one without rows if there are none."""


class Source(Protocol):
    """One file: its columns, and its pieces in order."""

    @property
    def file(self) -> str:
        """Name for people."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""

    @property
    def schema(self) -> Any:
        """Arrow schema of the columns as Parquet output has them."""

    @property
    def header(self) -> str:
        """Names of the columns as a line of CSV, without its end."""

    @property
    def line_end(self) -> str:
        """What ends a line of CSV output."""

    @property
    def size(self) -> int:
        """Sum of the lengths of the pieces."""

    def check(self, features: Sequence[str], as_text: bool) -> None:
        """Raise ScoringFailed if the format cannot be written."""

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces in order."""


def check_columns(
    source: Source, features: Sequence[str], added: Sequence[str]
) -> None:
    """
    Raise unless every feature is there once and no answer's name is taken.

    Raises
    ------
    ScoringFailed
        Naming the columns.
    """
    columns = source.columns
    faults = []
    for name in features:
        if name not in columns:
            hint = did_you_mean(name, set(columns) - set(features))
            faults.append(f"column {name} is missing{hint}")
        elif columns.count(name) > 1:
            faults.append(f"column {name} occurs twice")
    for name in added:
        if name in columns:
            faults.append(f"column {name} is there already, and score would add it")
    if faults:
        raise ScoringFailed(source.file, "; ".join(faults))
