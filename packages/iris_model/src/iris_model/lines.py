"""
Find the rows in the bytes of a CSV file, and mend those that are malformed.

Rows end in LF or CRLF; fields are separated by commas and may be quoted with
``"``, doubled inside (RFC 4180). What is found here is what a row is, for the values
and for the text that is passed on: a block that another reader might cut elsewhere is
mended before that reader sees it. The usual block is searched with numpy; only one
with stray quotes is read field by field.
"""

from __future__ import annotations

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
    rb'(?:"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"(?=\r?(?:[,\n]|\Z)))?+'
    rb"(?P<plain>[^,\n]*+)(?P<end>,|\n|\Z)"
)
# A field whose quote has not closed where the bytes end.
OPEN = re.compile(rb'"[^"]*+(?:""[^"]*+)*+\Z')
NEEDS_QUOTES = re.compile('[",\r\n]')


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
    return _read_fields(content, at_end)


def _well_quoted(values: Bytes, quotes: Positions) -> bool:
    """Whether each quote opens after, or closes before, a separator or a quote."""
    around = np.full(len(values) + 3, LINE_FEED, dtype=np.uint8)
    around[1:-2] = values
    before, after = around[quotes[0::2]], around[quotes[1::2] + 2]
    at_line_end = (after == CARRIAGE_RETURN) & (around[quotes[1::2] + 3] == LINE_FEED)
    return bool(
        np.isin(before, (LINE_FEED, COMMA, QUOTE)).all()
        and (np.isin(after, (LINE_FEED, COMMA, QUOTE)) | at_line_end).all()
    )


def _read_fields(content: bytes, at_end: bool) -> Lines:
    ends: list[int] = []
    broken: list[int] = []
    for field in FIELD.finditer(content):
        if field["plain"].startswith(b'"'):
            if not at_end and OPEN.match(content, field.start()):
                break  # whether it closes is in bytes that are not here
            broken.append(len(ends))
        if field["end"] == b"\n":
            ends.append(field.end())
    found = np.unique(np.array(broken, dtype=np.int64))
    return Lines(np.array(ends, dtype=np.int64), found[found < len(ends)])


def has_bare_return(content: bytes) -> bool:
    """Whether a carriage return stands anywhere but before a line feed."""
    return content.count(b"\r") != content.count(b"\r\n")


def count_rows(content: bytes) -> int:
    """Return how many rows any reader finds: also CR ends one, blank lines are none."""
    if has_bare_return(content):
        # In quotes it ends none.
        content = FIELD.sub(rb"\g<plain>\g<end>", content)
        return sum(map(bool, content.splitlines()))
    return len(find_lines(content, at_end=True).ends)


def mend_lines(
    content: bytes, lines: Lines, fields: int
) -> tuple[bytes, Positions, dict[int, str]]:
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
        No blank lines, and no carriage return that could end one.
    ndarray of int64
        Position after each line.
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
        found, fault = _check(line, fields, number in broken)
        if fault:
            faults[len(mended)] = fault
            line = _join(found, fields)
        mended.append(line)
    ends = np.cumsum([len(line) for line in mended], dtype=np.int64)
    return b"".join(mended), ends, faults


def _check(line: bytes, fields: int, is_broken: bool) -> tuple[list[bytes], str | None]:
    """Return the fields of a line, and what is wrong with it."""
    found, has_return = _split(line)
    try:
        line.decode()
    except UnicodeDecodeError:
        return found, "must be UTF-8"
    if is_broken:
        return found, "has a misplaced quote"
    if has_return:
        return found, "has a carriage return outside quotes"
    if len(found) != fields:
        return found, f"must have {fields} values, not {len(found)}"
    return found, None


def _split(line: bytes) -> tuple[list[bytes], bool]:
    """Return the fields of a line, and whether a carriage return is between them."""
    body = line.removesuffix(b"\n").removesuffix(b"\r")
    if b'"' not in body:
        return body.split(b","), b"\r" in body
    found, has_return = [], False
    for field in FIELD.finditer(body):
        quoted, plain, end = field.groups()
        found.append((quoted or b"").replace(b'""', b'"') + plain)
        has_return = has_return or b"\r" in plain
        if end != b",":
            break
    return found, has_return


def parse_header(line: bytes) -> tuple[str, ...]:
    """
    Return the names in the first line of a file.

    Raises
    ------
    ValueError
        Saying what is wrong with it.
    """
    lines = find_lines(line, at_end=True)
    found, fault = _check(line, len(_split(line)[0]), bool(len(lines.broken)))
    if fault:
        raise ValueError(fault)
    return tuple(name.decode() for name in found)


def _join(found: list[bytes], fields: int) -> bytes:
    padded = (found + [b""] * fields)[:fields]
    line = ",".join(quote_field(field.decode(errors="replace")) for field in padded)
    # Blank, it would be no row.
    return (line or '""').encode() + b"\n"


def quote_field(field: str) -> str:
    """Return a field with quotes where CSV asks for them, as csv.writer not always."""
    if NEEDS_QUOTES.search(field):
        return '"' + field.replace('"', '""') + '"'
    return field
