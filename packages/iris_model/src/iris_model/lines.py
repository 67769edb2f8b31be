"""
Find the rows in the bytes of a CSV file, and mend those that are malformed.

Rows end in LF or CRLF; fields are separated by commas and may be quoted with
``"``, doubled inside (RFC 4180). The usual block is searched with numpy; only one
with stray quotes is read field by field.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

LINE_FEED, CARRIAGE_RETURN, COMMA, QUOTE = b'\n\r,"'

# One field and what ends it. Possessive, so that no input makes it backtrack; a
# quoted field must close before a separator, else its quote is a plain character.
FIELD = re.compile(
    rb'(?P<quoted>"[^"]*+(?:""[^"]*+)*+"\r?(?=[,\n]|\Z))?+(?P<plain>[^,\n]*+)(,|\n|\Z)'
)
QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


@dataclass(frozen=True, slots=True)
class Lines:
    """
    Where the rows of a block are.

    Attributes
    ----------
    ends : ndarray of int64
        Position after the line feed of each line, blank ones included.
    broken : ndarray of int64
        Lines, by position in ``ends``, with a quote where none may be.
    """

    ends: Positions
    broken: Positions


def find_lines(content: bytes, *, at_end: bool) -> Lines:
    """
    Return the lines of a block that begins where a line begins.

    Parameters
    ----------
    content : bytes
        What follows the last line feed outside quotes is left out.
    at_end : bool
        Nothing follows in the file, so a quote still open will never close.
    """
    values = np.frombuffer(content, dtype=np.uint8)
    feeds = np.flatnonzero(values == LINE_FEED)
    none = np.empty(0, dtype=np.int64)
    if b'"' not in content:
        return Lines(feeds + 1, none)
    quotes = np.flatnonzero(values == QUOTE)
    if _well_quoted(values, quotes) and not (at_end and len(quotes) % 2):
        return Lines(feeds[np.searchsorted(quotes, feeds) % 2 == 0] + 1, none)
    return _read_fields(content)


def _well_quoted(values: Bytes, quotes: Positions) -> bool:
    """Whether each quote opens after, or closes before, a separator or a quote."""
    around = np.full(len(values) + 2, LINE_FEED, dtype=np.uint8)
    around[1:-1] = values
    before, after = around[quotes[0::2]], around[quotes[1::2] + 2]
    return bool(
        np.isin(before, (LINE_FEED, COMMA, QUOTE)).all()
        and np.isin(after, (LINE_FEED, CARRIAGE_RETURN, COMMA, QUOTE)).all()
    )


def _read_fields(content: bytes) -> Lines:
    ends: list[int] = []
    broken: list[int] = []
    for field in FIELD.finditer(content):
        if field["plain"].startswith(b'"') or (field["quoted"] and field["plain"]):
            broken.append(len(ends))
        if field[3] == b"\n":
            ends.append(field.end())
    found = np.unique(np.array(broken, dtype=np.int64))
    return Lines(np.array(ends, dtype=np.int64), found[found < len(ends)])


def mend_lines(
    content: bytes, lines: Lines, fields: int
) -> tuple[bytes, dict[int, str]]:
    """
    Return a block in which every line has so many fields, and what was wrong.

    Parameters
    ----------
    content : bytes
        Whole lines.
    lines : Lines
        Those of ``content``.
    fields : int
        As many as the header has. A line with fewer gets empty ones; of a line
        with more, the rest is cut.

    Returns
    -------
    bytes
        No blank lines.
    dict of int to str
        Reason by row, counted without blank lines; empty when nothing was wrong.
    """
    mended: list[bytes] = []
    faults: dict[int, str] = {}
    broken = set(lines.broken.tolist())
    begin = 0
    for number, end in enumerate(lines.ends.tolist()):
        line = content[begin:end]
        begin = end
        if line in (b"\n", b"\r\n"):
            continue
        fault = "has a misplaced quote" if number in broken else None
        found, fault = _split(line, fields, fault)
        if fault:
            faults[len(mended)] = fault
            line = _join(found, fields)
        mended.append(line)
    return b"".join(mended), faults


def _split(line: bytes, fields: int, fault: str | None) -> tuple[list[str], str | None]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text, fault = line.decode(errors="replace"), "must be UTF-8"
    body = text[:-1].removesuffix("\r")
    found = parse_line(body) if '"' in body else body.split(",")
    if "\r" in body and "\r" in QUOTED.sub("", body):
        fault = fault or "has a carriage return outside quotes"
    if len(found) != fields:
        fault = fault or f"must have {fields} values, not {len(found)}"
    return found, fault


def parse_line(line: str) -> list[str]:
    """Return the fields of one line without its end."""
    try:
        return next(csv.reader([line.replace("\r", " ")]), [])
    except csv.Error:  # a field of more than 128 KiB
        return [line]


def _join(found: list[str], fields: int) -> bytes:
    padded = (found + [""] * fields)[:fields]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        [" ".join(field.splitlines()) for field in padded]
    )
    return text.getvalue().encode()
