"""
Answer a block of rows that may be bad, as columns: label, probabilities, reasons.

Works on whole columns; nothing here runs once a row, bad ones with a fault of
their own excepted. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from iris_model.errors import InvalidRows
from iris_model.model import IrisModel
from iris_model.validation import Matrix

# Kinds of bad value, by the byte that stands for them; worded as InvalidRows does.
NOT_A_NUMBER, NOT_FINITE, NO_ANSWER = 1, 2, 3
CELL_REASONS = {NOT_A_NUMBER: "must be a number", NOT_FINITE: "must be finite"}
ROW_REASON = "the model has no answer for values this extreme"


@dataclass(frozen=True, slots=True)
class Answers:
    """
    One answer a row, in order, as Arrow columns (which publish no types).

    Attributes
    ----------
    label : DictionaryArray of string
        Null where the row is refused.
    probabilities : ndarray of float64, shape (n, classes)
        NaN where the row is refused.
    bad : ndarray of bool or None
        Which rows are refused; None when none is.
    out_of_range, reason : DictionaryArray of string
        Names joined by ``;``, and why the row is refused; empty otherwise.
    refused : dict of str to int
        Rows by reason.
    """

    label: Any
    probabilities: Matrix
    bad: npt.NDArray[np.bool_] | None
    out_of_range: Any
    reason: Any
    refused: dict[str, int]


def answer_rows(
    model: IrisModel, features: Sequence[Any], faults: Mapping[int, str]
) -> Answers:
    """
    Return the answers to a block of rows.

    Parameters
    ----------
    model : IrisModel
        Answers the good rows.
    features : sequence of ChunkedArray of double
        In the model's order; null is a value that is missing or no number.
    faults : mapping of int to str
        Rows refused for a fault of their own, such as a field too few.
    """
    by_feature = np.array([column.to_numpy() for column in features], dtype=np.float64)
    matrix = np.ascontiguousarray(by_feature.T)
    marks = _mark_cells(matrix, features)
    probabilities, marks = _ask(model, matrix, marks, faults)
    bad = None if marks is None else np.asarray(marks.any(axis=1))
    reason = _spell_reasons(model, len(matrix), marks, faults)
    # Whole columns are compared several times faster than rows of four values.
    outside = model.outside(by_feature.T)
    if bad is not None:
        outside[bad] = False
    winners = probabilities.argmax(axis=1).astype(np.int8)
    return Answers(
        pa.DictionaryArray.from_arrays(
            pa.array(winners, mask=bad), pa.array(model.classes)
        ),
        probabilities,
        bad,
        _spell(
            outside.view(np.uint8),
            lambda mark: ";".join(_pick(model.feature_names, mark)),
        ),
        reason,
        {} if bad is None else _count(reason),
    )


def _mark_cells(
    matrix: Matrix, features: Sequence[Any]
) -> npt.NDArray[np.uint8] | None:
    """Return the kind of fault of each cell and row, or None if there is none."""
    finite = np.isfinite(matrix)
    if finite.all():
        return None
    marks = np.zeros((len(matrix), matrix.shape[1] + 1), dtype=np.uint8)
    marks[:, :-1][~finite] = NOT_FINITE
    for position, column in enumerate(features):
        if column.null_count:
            marks[column.is_null().to_numpy(), position] = NOT_A_NUMBER
    return marks


def _ask(
    model: IrisModel,
    matrix: Matrix,
    marks: npt.NDArray[np.uint8] | None,
    faults: Mapping[int, str],
) -> tuple[Matrix, npt.NDArray[np.uint8] | None]:
    """Return probabilities (NaN for refused rows) and the marks, perhaps more."""
    if marks is None and not faults:
        try:
            return model.probabilities(matrix), None
        except InvalidRows:
            pass
    if marks is None:
        marks = np.zeros((len(matrix), matrix.shape[1] + 1), dtype=np.uint8)
    marks[list(faults), :] = 0
    marks[list(faults), -1] = NO_ANSWER
    good = np.flatnonzero(~marks.any(axis=1))
    answer = np.full((len(matrix), len(model.classes)), np.nan)
    try:
        answer[good] = model.probabilities(matrix[good])
    except InvalidRows as error:
        extreme = [row.row for row in error.problems if row.row is not None]
        marks[good[extreme], -1] = NO_ANSWER
        good = np.delete(good, extreme)
        answer[good] = model.probabilities(matrix[good])
    return answer, marks


def _spell_reasons(
    model: IrisModel,
    rows: int,
    marks: npt.NDArray[np.uint8] | None,
    faults: Mapping[int, str],
) -> Any:
    if marks is None:
        return _repeat("", rows)

    def spell(mark: bytes) -> str:
        cells = zip(model.feature_names, mark, strict=False)
        found = [f"{name} {CELL_REASONS[kind]}" for name, kind in cells if kind]
        return "; ".join(found + [ROW_REASON] * (mark[-1] == NO_ANSWER))

    reason = _spell(marks, spell)
    if not faults:
        return reason
    words = reason.dictionary.to_pylist()
    places = {word: place for place, word in enumerate(words)}
    codes = reason.indices.to_numpy().copy()
    for row, fault in faults.items():
        codes[row] = places.setdefault(fault, len(places))
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(places)))


def _spell(marks: npt.NDArray[np.uint8], word: Callable[[bytes], str]) -> Any:
    """Return the word for each row of marks, each distinct row spelt once."""
    width = marks.shape[1]
    if not marks.any():
        return _repeat(word(bytes(width)), len(marks))
    content = pa.py_buffer(np.ascontiguousarray(marks))
    packed = pa.Array.from_buffers(pa.binary(width), len(marks), [None, content])
    found = packed.dictionary_encode()
    words = [word(mark) for mark in found.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(found.indices, pa.array(words, pa.string()))


def _repeat(word: str, rows: int) -> Any:
    codes = np.zeros(rows, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([word]))


def _pick(names: Sequence[str], mark: bytes) -> list[str]:
    return [name for name, is_set in zip(names, mark, strict=True) if is_set]


def _count(reason: Any) -> dict[str, int]:
    words = reason.dictionary.to_pylist()
    counts = np.bincount(reason.indices.to_numpy(), minlength=len(words)).tolist()
    found = zip(words, counts, strict=True)
    return {word: count for word, count in found if word and count}
