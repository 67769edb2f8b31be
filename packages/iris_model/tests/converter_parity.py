"""
Compare a transformer with its compiled twin, row by row and column by column.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from converter_tables import Case
from sklearn.base import BaseEstimator

from iris_model.compile import compile_transformer, inputs_of, text_features
from iris_model.converters import CONVERTERS, MISSING_TEXT

ANY_NUMBER = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 8.0, 1e-9, -1e-9, 1e-300, 1e12]
ANY_NUMBER += [-1e12, 1e150, -1e150, 6.25, 1e8, 12345.678, np.nan]
ANY_TEXT = ["red", "blue", "", "nan", "Ünï", "x", "y", "Rare", "unseen", "RED", None]


class Fitted:
    """A fitted transformer and its compiled twin."""

    def __init__(self, case: Case) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.step = case.step.fit(case.table, case.target)
        self.case = case
        self.compiled = compile_transformer(self.step, text_features(case.table))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            self.compiled.model_bytes, options, providers=["CPUExecutionProvider"]
        )

    def pool(self, name: str) -> list[Any]:
        """Return the values worth trying in one column."""
        column = self.case.table[name]
        seen = column.dropna().iloc[:12].tolist()
        if name in text_features(self.case.table):
            return [*ANY_TEXT, *seen]
        return [*ANY_NUMBER, *self.case.values, *seen]

    def frame(self, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
        """Return rows as a table of the kinds that were fitted, but for gaps."""
        texts = text_features(self.case.table)
        columns = {
            name: pd.Series(
                [row[i] for row in rows],
                dtype=self.case.table[name].dtype if name in texts else float,
            )
            for i, name in enumerate(self.case.table)
        }
        return pd.DataFrame(columns)

    @property
    def kinds(self) -> list[type[BaseEstimator]]:
        """Class of the transformer, and of the one it wraps if that has a converter."""
        inner = getattr(self.step, "transformer", self.step)
        return [k for k in {type(self.step), type(inner)} if k in CONVERTERS]

    def drawn_frame(self, count: int, seed: int) -> pd.DataFrame:
        """Return rows drawn from the pools, always the same."""
        generator = np.random.default_rng(seed)
        pools = [self.pool(name) for name in self.case.table]
        places = [generator.integers(0, len(pool), count) for pool in pools]
        drawn = [
            [pool[i] for i in place] for pool, place in zip(pools, places, strict=True)
        ]
        return self.frame(list(zip(*drawn, strict=True)))

    def expected(self, frame: pd.DataFrame) -> pd.DataFrame | None:
        """Return what the transformer makes, or None where it raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return pd.DataFrame(self.step.transform(frame))
            except ValueError:
                return None

    def found(self, frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the graph's columns by name, and which rows it refuses."""
        given = {entry.name for entry in self.session.get_inputs()}
        inputs = {k: v for k, v in inputs_of(frame).items() if k in given}
        names = [entry.name for entry in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, inputs), strict=True))
        columns = dict(
            [
                *zip(self.compiled.numbers, outputs.get("numbers", np.empty(0)).T),
                *zip(self.compiled.texts, outputs.get("made_texts", np.empty(0)).T),
            ]
        )
        no_refusal = np.zeros((len(frame), 1))
        refused = np.isnan(outputs.get("refusals", no_refusal)).any(axis=1)
        return columns, refused


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
