"""
Small tables to fit transformers on, and the case made of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

ROWS = 60
GENERATOR = np.random.default_rng(7)
NUMBERS = pd.DataFrame(
    {
        "a": GENERATOR.gamma(2.0, 3.0, ROWS) + 0.25,
        "b": GENERATOR.normal(0.0, 2.0, ROWS),
        "c": GENERATOR.integers(1, 9, ROWS),
        "flag": GENERATOR.integers(0, 2, ROWS),
    }
)
PAIR = ["a", "c"]
GAPS = NUMBERS.astype(float).mask(GENERATOR.random((ROWS, 4)) < 0.2)
TEXTS = pd.DataFrame(
    {
        "kind": GENERATOR.choice(["red", "blue", "", "nan", "Ünï"], ROWS),
        "place": GENERATOR.choice(["x", "y"], ROWS, p=[0.7, 0.3]),
        "a": NUMBERS["a"],
    }
)
TEXTS.loc[:15, "kind"] = "red"
TEXT_GAPS = TEXTS.copy()
TEXT_GAPS.loc[GENERATOR.random(ROWS) < 0.2, "kind"] = None
SCORES = NUMBERS["a"] * 2.0 + NUMBERS["b"]
TARGET = pd.Series((NUMBERS["a"] + NUMBERS["b"] > 6.0).astype(int))


@dataclass(frozen=True)
class Case:
    """
    A transformer, what it is fitted on, and values worth trying on it.

    Attributes
    ----------
    step : BaseEstimator
        Unfitted.
    table : DataFrame
        To fit on; its kinds are those of the columns tried.
    values : list of float
        Numbers beside ANY_NUMBER, such as exact edges.
    """

    step: BaseEstimator
    table: pd.DataFrame = field(default_factory=lambda: NUMBERS)
    values: tuple[float, ...] = ()
    target: pd.Series = field(default_factory=lambda: TARGET)
