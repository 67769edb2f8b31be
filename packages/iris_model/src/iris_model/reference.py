"""
What live data are compared with: distributions of the training table, cut into cells.

They travel in the manifest. Numpy alone: the comparison itself is in ``drift``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iris_model.strict import Strict

Values = npt.NDArray[np.float64]

# Percentiles: enough for Kolmogorov-Smirnov, and few enough for a manifest.
MOST_CUTS = 99


@dataclass(frozen=True)
class Quantiles(Strict):
    """
    How many rows lie at or below each of some values.

    ``values`` ascend and lie halfway between neighbouring measurements, so that what
    is rounded finer or coarser than the table falls on the same side. ``rows`` is of
    all rows, which the last of ``at_most`` need not reach.
    """

    values: list[float]
    at_most: list[int]
    rows: int


@dataclass(frozen=True)
class Reference(Strict):
    """
    Distributions of the training table.

    Attributes
    ----------
    features : dict of str to Quantiles
        By feature.
    within : dict of str to dict of str to Quantiles
        By class, then by feature: of the rows answered with that class.
    labels : dict of str to int
        Rows by class they are answered with.
    confidence : Quantiles
        Of the largest probability, in hundredths.

    Notes
    -----
    Answers are those of cross-validation, of a model that has not seen the row: those
    to rows it has learnt from are surer than any to come.
    """

    features: dict[str, Quantiles]
    within: dict[str, dict[str, Quantiles]]
    labels: dict[str, int]
    confidence: Quantiles


def find_quantiles(values: Values) -> Quantiles:
    """
    Return at most 99 quantiles; none when all values are equal.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite; in any order.
    """
    found, counts = np.unique(values, return_counts=True)
    below = counts.cumsum()[:-1]
    halves = found[:-1] + np.diff(found) / 2
    # Nothing may lie between two neighbouring numbers; the lower one then cuts as well.
    halves = np.where((found[:-1] <= halves) & (halves < found[1:]), halves, found[:-1])
    if len(halves) > MOST_CUTS:
        wanted = np.arange(1, MOST_CUTS + 1) * len(values) / (MOST_CUTS + 1)
        chosen = np.unique(np.searchsorted(below, wanted).clip(max=len(below) - 1))
        halves, below = halves[chosen], below[chosen]
    return Quantiles(halves.tolist(), below.tolist(), len(values))


def count_cells(quantiles: Quantiles, values: Values) -> npt.NDArray[np.int64]:
    """Return how many values lie in each cell; cells are one more than quantiles."""
    cells = np.searchsorted(quantiles.values, values, side="left")
    return np.bincount(cells, minlength=len(quantiles.values) + 1).astype(np.int64)


def reference_cells(quantiles: Quantiles) -> npt.NDArray[np.int64]:
    """Return how many rows of the training table lie in each cell."""
    return np.diff(quantiles.at_most, prepend=0, append=quantiles.rows)


def round_confidence(confidence: Values) -> Values:
    """
    Return hundredths.

    Beyond them confidence tells of the sample rather than of the world.
    """
    rounded: Values = confidence.round(2)
    return rounded


def build_reference(
    matrix: Values, names: Sequence[str], classes: Sequence[str], answers: Values
) -> Reference:
    """
    Return the reference of a training table.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, features)
        The table, in the order of ``names``.
    names, classes : sequence of str
    answers : ndarray of float64, shape (n, classes)
        Out-of-fold probabilities, in the order of ``classes``.
    """
    winners = answers.argmax(axis=1)

    def of_rows(rows: Values) -> dict[str, Quantiles]:
        columns = zip(names, rows.T, strict=True)
        return {name: find_quantiles(column) for name, column in columns}

    return Reference(
        features=of_rows(matrix),
        within={
            name: of_rows(matrix[winners == place])
            for place, name in enumerate(classes)
        },
        labels={
            name: int((winners == place).sum()) for place, name in enumerate(classes)
        },
        confidence=find_quantiles(round_confidence(answers.max(axis=1))),
    )
