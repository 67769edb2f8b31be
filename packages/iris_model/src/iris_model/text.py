"""
Spell Arrow columns as CSV text, whole columns at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from iris_model.lines import COMMA, Bytes, Positions

NEEDS_QUOTES = '[",\r\n]'


def can_spell(kind: Any) -> bool:
    """Whether a column of this Arrow type has a form in CSV."""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return False
    try:
        pa.nulls(0, kind).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
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
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        # Few words, many rows: only the words are looked at.
        words = join_text([spell_column(column.dictionary), end], "")
        text = words.take(column.indices)
        return text.fill_null(end) if text.null_count else text
    if kind == pa.float64():
        text = spell_floats(column.fill_null(0.0).to_numpy())
        return pc.if_else(column.is_valid(), text, "") if column.null_count else text
    text = column.cast(pa.string()).fill_null("")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return quote(text)
    return text


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
    needed = pc.match_substring_regex(text, NEEDS_QUOTES)
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
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
