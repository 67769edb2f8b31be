"""
Turn rows of any accepted shape into one float64 array, or say what is wrong.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from iris_model.errors import InvalidRows, RowProblem

Matrix = npt.NDArray[np.float64]


def parse_rows(rows: Any, names: Sequence[str]) -> Matrix:
    """
    Return rows as an array in the order of the model's features.

    Parameters
    ----------
    rows : sequence of mappings, DataFrame, or array-like of shape (n, features)
        Mappings and DataFrames go by name, in any order; arrays by position.
        (Any: pandas is not a dependency of predicting.)
    names : sequence of str
        Feature names in the model's order.

    Returns
    -------
    ndarray of float64, shape (n, features)
        C-contiguous; every value is finite.

    Raises
    ------
    InvalidRows
        Listing every problem: unknown or missing fields, values that are not
        numbers, values that are not finite, a wrong shape.
    """
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):
        return _from_frame(rows, names)
    if isinstance(rows, Mapping | str | bytes):
        raise _whole("rows must be a sequence of rows, not one value")
    if isinstance(rows, np.ndarray):
        return _from_array(rows, names)
    listed = _to_list(rows)
    if listed and all(isinstance(row, Mapping) for row in listed):
        return _from_mappings(listed, names)
    return _from_sequences(listed, names)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a proposal such as ``, did you mean 'x'?``, or nothing."""
    near = difflib.get_close_matches(name[:100], list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _to_list(rows: Any) -> list[Any]:
    try:
        return list(rows)
    except TypeError:
        raise _whole("rows must be a sequence of rows") from None


def _from_frame(frame: Any, names: Sequence[str]) -> Matrix:
    columns = [str(column) for column in frame.columns]
    problems = _name_problems(columns, names, row=None)
    for name in names:
        if columns.count(name) > 1:
            problems.append(RowProblem(None, name, "column occurs twice"))
    if problems:
        raise InvalidRows(tuple(problems))
    values = [frame[name].to_numpy() for name in names]
    for name, column in zip(names, values, strict=True):
        if column.dtype.kind not in "iuf":
            problems.append(RowProblem(None, name, "must hold numbers"))
    if problems:
        raise InvalidRows(tuple(problems))
    return _finite(np.column_stack(values), names)


def _from_array(array: npt.NDArray[Any], names: Sequence[str]) -> Matrix:
    if array.ndim != 2 or array.shape[1] != len(names):
        raise _whole(f"array must have shape (n, {len(names)}), not {array.shape}")
    if array.dtype.kind not in "iuf":
        raise _whole(f"array must hold numbers, not {array.dtype}")
    return _finite(array, names)


def _from_mappings(rows: list[Any], names: Sequence[str]) -> Matrix:
    expected = set(names)
    problems: list[RowProblem] = []
    for position, row in enumerate(rows):
        if row.keys() != expected:
            keys = [str(key) for key in row]
            problems.extend(_name_problems(keys, names, position))
        for name in names:
            if name in row:
                problems.extend(_value_problems(row[name], position, name))
    if problems:
        raise InvalidRows(tuple(problems))
    values = [[row[name] for name in names] for row in rows]
    return np.array(values, dtype=np.float64).reshape(len(rows), len(names))


def _from_sequences(rows: list[Any], names: Sequence[str]) -> Matrix:
    problems: list[RowProblem] = []
    for position, row in enumerate(rows):
        if not isinstance(row, Sequence | np.ndarray) or isinstance(row, str | bytes):
            problems.append(RowProblem(position, None, "must be a mapping of fields"))
        elif len(row) != len(names):
            reason = f"must have {len(names)} values, not {len(row)}"
            problems.append(RowProblem(position, None, reason))
        else:
            for name, value in zip(names, row, strict=True):
                problems.extend(_value_problems(value, position, name))
    if problems:
        raise InvalidRows(tuple(problems))
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _name_problems(
    found: Sequence[str], names: Sequence[str], row: int | None
) -> list[RowProblem]:
    missing = [name for name in names if name not in found]
    problems = [RowProblem(row, name, "is missing") for name in missing]
    for name in found:
        if name not in names:
            hint = did_you_mean(name, names)
            problems.append(RowProblem(row, name, f"is unknown{hint}"))
    return problems


def _value_problems(value: object, row: int, name: str) -> list[RowProblem]:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return [RowProblem(row, name, "must be a number")]
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        finite = False
    return [] if finite else [RowProblem(row, name, "must be finite")]


def _finite(array: npt.NDArray[Any], names: Sequence[str]) -> Matrix:
    matrix = np.ascontiguousarray(array, dtype=np.float64)
    finite = np.isfinite(matrix)
    if not finite.all():
        places = np.argwhere(~finite)
        raise InvalidRows(
            tuple(
                RowProblem(int(row), names[column], "must be finite")
                for row, column in places
            )
        )
    return matrix


def _whole(reason: str) -> InvalidRows:
    return InvalidRows((RowProblem(None, None, reason),))
