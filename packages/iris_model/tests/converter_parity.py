"""
Compare a transformer with its compiled twin, row by row and column by column.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from converter_cases import Fitted
from sklearn.base import BaseEstimator

from iris_model.converters import MISSING_TEXT


def largest_difference(fitted: Fitted, frame: pd.DataFrame) -> float:
    """
    Return the largest |found - expected| / max(1, |expected|) over a table.

    Raises
    ------
    AssertionError
        If a row is answered that the transformer raises for, or the other way
        round, or if text, names, order or missing values differ.
    """
    columns, refused = fitted.found(frame)
    whole = fitted.expected(frame)
    if whole is not None:
        assert not refused.any(), f"refused {frame[refused]}"
        return _largest(fitted, whole, columns, np.arange(len(frame)))
    largest = 0.0
    for place in range(len(frame)):
        row = frame.iloc[[place]].reset_index(drop=True)
        expected = fitted.expected(row)
        assert refused[place] == (expected is None), f"{refused[place]} for {row}"
        if expected is not None:
            here = np.array([place])
            largest = max(largest, _largest(fitted, expected, columns, here))
    return largest


def measured_differences(
    every: Iterable[Fitted],
) -> dict[type[BaseEstimator], float]:
    """Return the largest difference by transformer over rows drawn with one seed."""
    found: dict[type[BaseEstimator], float] = {}
    for fitted in every:
        frame = fitted.drawn_frame(300, seed=1936)
        columns, refused = fitted.found(frame)
        kept = frame[~refused].reset_index(drop=True)
        expected = fitted.expected(kept) if len(kept) else None
        assert expected is not None or refused.all()
        if expected is None:
            continue
        largest = _largest(fitted, expected, columns, np.flatnonzero(~refused))
        for kind in fitted.kinds:
            found[kind] = max(found.get(kind, 0.0), largest)
    return found


def _largest(
    fitted: Fitted,
    expected: pd.DataFrame,
    columns: dict[str, np.ndarray],
    places: np.ndarray,
) -> float:
    assert tuple(str(name) for name in expected.columns) == fitted.compiled.names
    return max(
        [
            _difference(name, expected[name], columns[str(name)][places])
            for name in expected
        ],
        default=0.0,
    )


def _difference(name: str, expected: pd.Series, found: np.ndarray) -> float:
    if found.dtype == object:
        texts = expected.astype(object).where(expected.notna(), MISSING_TEXT)
        assert texts.tolist() == found.tolist(), name
        return 0.0
    wanted = expected.astype(float).to_numpy()
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    assert np.isfinite(found[~same]).all(), f"{name}: {wanted} {found}"
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))
    return float(np.where(same, 0.0, apart).max(initial=0.0))
