"""
Spell Arrow columns as CSV text, whole columns at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from iris_model.lines import COMMA, NEEDS_QUOTES, Bytes, Positions, quote_field

# The text of these holds nothing that CSV would have quoted. What is in none of the
# sets, as types that are yet to come, is refused: its text cannot be known.
PLAIN = {
    pa.lib.Type_NA,
    pa.lib.Type_BOOL,
    *(pa.lib.Type_INT8, pa.lib.Type_INT16, pa.lib.Type_INT32, pa.lib.Type_INT64),
    *(pa.lib.Type_UINT8, pa.lib.Type_UINT16, pa.lib.Type_UINT32, pa.lib.Type_UINT64),
    *(pa.lib.Type_HALF_FLOAT, pa.lib.Type_FLOAT, pa.lib.Type_DOUBLE),
    *(pa.lib.Type_DECIMAL32, pa.lib.Type_DECIMAL64),
    *(pa.lib.Type_DECIMAL128, pa.lib.Type_DECIMAL256),
    pa.lib.Type_DURATION,
}
TEMPORAL = {
    *(pa.lib.Type_DATE32, pa.lib.Type_DATE64, pa.lib.Type_TIMESTAMP),
    *(pa.lib.Type_TIME32, pa.lib.Type_TIME64),
}
TEXT = {pa.lib.Type_STRING, pa.lib.Type_LARGE_STRING, pa.lib.Type_STRING_VIEW}

# Arrow writes other things for what is beyond its calendar.
MOMENT = (
    r"^-?\d{4,5}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d{4})?)?$"
    r"|^\d\d:\d\d:\d\d(\.\d+)?$"
)


def can_spell(kind: Any) -> bool:
    """Whether a column of this Arrow type has a form in CSV."""
    if pa.types.is_dictionary(kind):
        return can_spell(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        # JSON, and what is opaque; of other storage nobody knows the text.
        return kind.storage_type.id in TEXT
    if kind.id in TEMPORAL:
        return _is_known_zone(kind)
    return kind.id in PLAIN | TEXT


def _is_known_zone(kind: Any) -> bool:
    try:
        pa.nulls(1, kind).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def spell_column(column: Any, end: str = "") -> Any:
    """
    Return a column as text, quoted where CSV asks for it; null is empty.

    Parameters
    ----------
    column : Array or ChunkedArray
        Of a type that :func:`can_spell`.
    end : str
        Put behind every word of a dictionary, and where there is none.

    Raises
    ------
    ValueError
        If text is not UTF-8, or a moment is beyond the calendar.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column, kind = column.storage, kind.storage_type
    if pa.types.is_dictionary(kind):
        # Few words, many rows: only the words are looked at.
        words = join_text([spell_column(column.dictionary), end], "")
        text = words.take(column.indices)
        return text.fill_null(end) if text.null_count else text
    if kind == pa.float64():
        text = spell_floats(column.fill_null(0.0).to_numpy())
        return pc.if_else(column.is_valid(), text, "") if column.null_count else text
    text = column.cast(pa.string())
    if kind.id in TEXT:
        text.validate(full=True)
        return quote(text.fill_null(""))
    if kind.id in TEMPORAL:
        _check_moments(text)
    return text.fill_null("")


def _check_moments(text: Any) -> None:
    if not pc.all(pc.match_substring_regex(text, MOMENT)).as_py():
        raise ValueError("holds a date or time that has no text")


def spell_floats(values: npt.NDArray[np.float64]) -> Any:
    """
    Return the shortest text that reads back as the same float64.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)

    Notes
    -----
    orjson spells a float about five times faster than Arrow does.
    """
    content, commas = _dump(values)
    # A view: what was UTF-8 still is, and a cast would look again.
    text = pc.binary_slice(cut_text(content, commas).view(pa.binary()), 0, -1)
    text = text.view(pa.string())
    finite = np.isfinite(values)
    if finite.all():
        return text
    # JSON has no word for these.
    return pc.if_else(pa.array(finite), text, pa.array(values).cast(pa.string()))


def spell_matrix(values: npt.NDArray[np.float64]) -> Any:
    """
    Return each row of a matrix as text, a comma behind every number.

    Parameters
    ----------
    values : ndarray of float64, shape (n, columns)
        Finite.

    Notes
    -----
    Spelt as one long row: orjson takes more than twice the time for nested ones.
    """
    content, commas = _dump(values.ravel())
    return cut_text(content, commas[:: values.shape[1]])


def _dump(values: npt.NDArray[np.float64]) -> tuple[Bytes, Positions]:
    """Return numbers with a comma behind each, and where each begins and all end."""
    content = orjson.dumps(
        np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY
    )
    text = np.frombuffer(content, np.uint8).copy()
    text[-1] = COMMA  # the bracket
    commas = np.flatnonzero(text == COMMA)
    edges = np.concatenate([[0], commas[: len(values)]]) + 1
    return text, edges


def cut_text(content: Bytes, edges: Positions) -> Any:
    """Return the texts between edges, without copying them."""
    offsets = edges.astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def quote(text: Any) -> Any:
    """Return text with quotes around what holds a comma, a quote or a line end."""
    needed = pc.match_substring_regex(text, NEEDS_QUOTES.pattern)
    if not pc.any(needed).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(needed, join_text(['"', doubled, '"'], ""), text)


def join_text(columns: Sequence[Any], separator: str) -> Any:
    """Return columns of text as one, row by row; a plain text joins every row."""
    if len(columns) == 1:
        return columns[0]
    return pc.binary_join_element_wise(*columns, separator)


def spell_names(names: Sequence[str]) -> str:
    """Return names as a line of CSV without its end."""
    return ",".join(map(quote_field, names))
