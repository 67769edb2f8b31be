"""
Read CSV in pieces that any worker can find on its own.

A piece is a range of bytes; its rows are those that begin in it. Where the first
one begins is guessed (after the first line feed) and checked by who takes the
pieces in order: only a line feed inside quotes makes the guess wrong, and then the
piece is read again from where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from iris_model.errors import ScoringFailed
from iris_model.files import BYTE_ORDER_MARK, File
from iris_model.lines import (
    COMMA,
    Lines,
    Positions,
    find_lines,
    has_bare_return,
    mend_lines,
    parse_header,
)
from iris_model.sources import BLOCK_ROWS, Rows
from iris_model.text import cut_text

PIECE_BYTES = 4 << 20
# A row is looked for this far behind the end of its piece, then ever further.
TAIL_BYTES = 1 << 15
LONGEST_ROW_BYTES = 64 << 20

NO_HEADER = "must begin with a line of column names"

# What Arrow reads as a float64; anything else is no number.
NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file; ``body`` is where its first row begins."""

    path: File
    size: int
    columns: tuple[str, ...]
    header: str
    line_end: str
    body: int
    features: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name for people."""
        return self.path.name

    @property
    def schema(self) -> Any:
        """Features as float64, all other columns as the text they are."""
        return pa.schema(
            [
                (name, pa.float64() if name in self.features else pa.string())
                for name in self.columns
            ]
        )

    def check(self, features: Sequence[str], as_text: bool) -> None:
        """Raise if Parquet is asked for and two columns share a name."""
        for name in self.columns:
            if not as_text and self.columns.count(name) > 1:
                reason = f"column {name} occurs twice, which Parquet does not allow"
                raise ScoringFailed(self.file, reason)

    def pieces(self) -> Iterator[CsvPiece]:
        """Yield ranges of bytes; only the first surely begins with a row."""
        for begin in range(self.body, self.size, PIECE_BYTES):
            stop = min(begin + PIECE_BYTES, self.size)
            yield CsvPiece(self, begin, stop, begin == self.body)


def open_csv(path: File, features: Sequence[str]) -> CsvSource:
    """
    Return a CSV source from the first line of its file.

    Raises
    ------
    ScoringFailed
        If there is no such line, or its names cannot be read.
    """
    size = path.size()
    if not size:
        raise ScoringFailed(path.name, NO_HEADER)
    start = len(BYTE_ORDER_MARK) * (path.read(0, 3) == BYTE_ORDER_MARK)
    content, lines = _read_lines(path, size, start, start + 1)
    first = content[: lines.ends[0]] if len(lines.ends) else b""
    if not first.strip():
        raise ScoringFailed(path.name, NO_HEADER)
    try:
        text = first.decode()
        columns = parse_header(first)
    except UnicodeDecodeError:
        raise ScoringFailed(path.name, "the header is not UTF-8") from None
    except ValueError as error:
        raise ScoringFailed(path.name, f"the header {error}") from None
    line_end = "\r\n" if text.endswith("\r\n") else "\n"
    # The end of the only line may have been added.
    body = min(start + len(first), size)
    header = text.removesuffix(line_end)
    return CsvSource(path, size, columns, header, line_end, body, tuple(features))


@dataclass(frozen=True, slots=True)
class CsvPiece:
    """Bytes ``begin`` to ``stop``; ``exact`` when a row is known to begin there."""

    source: CsvSource
    begin: int
    stop: int
    exact: bool

    def moved(self, begin: int) -> CsvPiece:
        """Return the piece that begins where the one before it truly ended."""
        return replace(self, begin=begin, exact=True)

    def read(self, features: Sequence[str], as_text: bool) -> Iterator[Rows]:
        """Yield the rows that begin in this piece."""
        source, begin = self.source, self.begin
        if not self.exact:
            begin = _guess_begin(source.path, begin, self.stop)
        if begin >= self.stop:
            content, lines = b"", find_lines(b"", at_end=False)
        else:
            content, lines = _read_lines(source.path, source.size, begin, self.stop)
        for first in range(0, max(len(lines.ends), 1), BLOCK_ROWS):
            block, found = _take_lines(content, lines, first)
            # The end of the last line may have been added.
            end = min(begin + len(block), source.size)
            block, ends, table, faults = _parse(self, block, found, as_text)
            yield Rows(
                len(table),
                [table[name] for name in features],
                None if as_text else table,
                _split_text(block, ends) if as_text else None,
                faults,
                begin,
                end,
            )
            begin = end


def _guess_begin(path: File, begin: int, stop: int) -> int:
    """Return the place after the first line feed at or after ``begin - 1``."""
    place = begin - 1
    while place < stop:
        content = path.read(place, min(place + TAIL_BYTES, stop))
        found = content.find(b"\n")
        if found >= 0:
            return place + found + 1
        place += len(content)
    return stop


def _read_lines(path: File, size: int, begin: int, stop: int) -> tuple[bytes, Lines]:
    """Return whole lines from ``begin`` up to the first that ends behind ``stop``."""
    tail = TAIL_BYTES
    while True:
        content = path.read(begin, min(stop + tail, size))
        at_end = begin + len(content) >= size
        if at_end and content and not content.endswith(b"\n"):
            content += b"\n"
        lines = find_lines(content, at_end=at_end)
        last = int(np.searchsorted(lines.ends, min(stop - begin, len(content))))
        if last < len(lines.ends):
            cut = int(lines.ends[last])
            kept = lines.broken[lines.broken <= last]
            return content[:cut], Lines(lines.ends[: last + 1], kept)
        if at_end:
            return content, lines
        if tail > LONGEST_ROW_BYTES:
            reason = f"the line at byte {begin:,} or one soon after it has no end"
            raise ScoringFailed(path.name, reason)
        tail *= 8


def _take_lines(content: bytes, lines: Lines, first: int) -> tuple[bytes, Lines]:
    """Return a block of lines from the one numbered ``first``."""
    ends = lines.ends[first : first + BLOCK_ROWS]
    if not len(ends):
        return b"", lines
    begin = int(lines.ends[first - 1]) if first else 0
    broken = lines.broken - first
    broken = broken[(broken >= 0) & (broken < len(ends))]
    return content[begin : ends[-1]], Lines(ends - begin, broken)


def _parse(
    piece: CsvPiece, content: bytes, lines: Lines, as_text: bool
) -> tuple[bytes, Positions, Any, dict[int, str]]:
    """Return the lines, mended where needed, their ends, table and faults."""
    source = piece.source
    # Arrow ends a row at any carriage return, and skips blank lines: together they
    # would hide each other.
    is_plain = not len(lines.broken) and not has_bare_return(content)
    if is_plain and _is_utf8(content):
        table = _parse_table(source, content, as_text)
        if table is not None and len(table) == len(lines.ends):
            return content, lines.ends, table, {}
    content, ends, faults = mend_lines(content, lines, len(source.columns))
    table = _parse_table(source, content, as_text)
    if table is None or len(table) != len(ends):
        reason = f"cannot be read as CSV behind byte {piece.begin:,}"
        raise ScoringFailed(source.file, reason)
    return content, ends, table, faults


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse_table(source: CsvSource, content: bytes, as_text: bool) -> Any:
    """Return the table of a block, or None if a line has not enough or more fields."""
    numbers = {name: pa.float64() for name in source.features}
    try:
        return _read_arrow(source, content, numbers, as_text)
    except pa.ArrowInvalid:
        pass
    # Some value is no number: read text, and leave nulls where it is none.
    text = {name: pa.string() for name in source.features}
    table = _read_arrow(source, content, text, as_text)
    for place, name in enumerate(table.column_names if table is not None else ()):
        if name in source.features:
            table = table.set_column(place, name, _parse_numbers(table[name]))
    return table


def _read_arrow(
    source: CsvSource, content: bytes, types: dict[str, Any], as_text: bool
) -> Any:
    ragged = []

    def skip(row: Any) -> str:
        ragged.append(row.number)
        return "skip"

    # Arrow picks columns by name, and names may occur twice among the others.
    places = {name: f"{source.columns.index(name)}" for name in source.features}
    wanted = places if as_text else {name: str(i) for i, name in _numbered(source)}
    every = [str(place) for place in range(len(source.columns))]
    column_types = dict.fromkeys(every, pa.string())
    column_types.update({places[name]: kind for name, kind in types.items()})
    if not content:
        empty = {name: pa.array([], column_types[wanted[name]]) for name in wanted}
        return pa.table(empty)
    table = csv.read_csv(
        # Arrow drops a byte order mark where it begins to read, which may be any row.
        pa.BufferReader(b"\n" * content.startswith(BYTE_ORDER_MARK) + content),
        csv.ReadOptions(
            use_threads=False, block_size=len(content) + 2, column_names=every
        ),
        csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        csv.ConvertOptions(
            column_types=column_types,
            null_values=[""],
            strings_can_be_null=False,
            include_columns=list(wanted.values()),
        ),
    )
    return None if ragged else table.rename_columns(list(wanted))


def _numbered(source: CsvSource) -> list[tuple[int, str]]:
    return list(enumerate(source.columns))


def _parse_numbers(column: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(column)
    is_number = pc.match_substring_regex(trimmed, NUMBER)
    return pc.if_else(is_number, trimmed, None).cast(pa.float64())


def _split_text(content: bytes, ends: Positions) -> Any:
    """Return the lines of a block, a comma in place of each end."""
    edges = np.concatenate([[0], ends])
    text = np.frombuffer(content, np.uint8).copy()
    text[ends - 1] = COMMA
    lines = cut_text(text, edges)
    if b"\r" in content:
        return pc.replace_substring_regex(lines, "\r,$", ",")
    return lines
