"""
How far live data and answers have moved from the training table, and whether for sure.

Three measures of distance, and a bound on one of them that allows for the size of both
samples: an alarm says that the change is large, not only that there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from scipy.spatial import distance

from iris_model.reference import Quantiles, reference_cells

Counts = npt.NDArray[np.int64]
State = Literal["alarm", "no alarm", "too few rows"]

# Of the population stability index: below it, convention sees no change.
LARGE = 0.1
# Of all comparisons of one run together.
FALSE_ALARMS = 0.01
LEAST_ROWS = 200
# Cells of the index: each with a tenth of the table, and never fewer rows than this.
CELLS = 10
LEAST_CELL = 5
# Nearer to the table's own counts than 0 or 1: an empty cell is no infinite distance.
PSEUDO = 0.5
LABELS, CONFIDENCE = "label", "confidence"


@dataclass(frozen=True, slots=True)
class Distances:
    """
    Three distances between two samples.

    Attributes
    ----------
    rows : int
        Of the live sample.
    psi : float
        Population stability index over ``cells`` cells.
    js : float
        Jensen-Shannon distance over the same cells, between 0 and 1 (logarithm to 2).
    ks : float or None
        Kolmogorov-Smirnov distance over all quantiles; None for labels, which have no
        order.
    """

    rows: int
    cells: int
    psi: float
    js: float
    ks: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    One thing that was compared, and what it says.

    Attributes
    ----------
    psi_low : float
        Lower bound of the index, at the confidence that the number of comparisons
        leaves to each.
    """

    name: str
    distances: Distances
    psi_low: float
    state: State


def measure_numbers(reference: Quantiles, live: Counts) -> Distances:
    """
    Return how far numbers have moved.

    Parameters
    ----------
    reference : Quantiles
    live : ndarray of int, shape (quantiles + 1,)
        Live values in each cell between quantiles.
    """
    table = reference_cells(reference)
    begins = merge_cells(table)
    psi, js = _measure_cells(
        np.add.reduceat(table, begins), np.add.reduceat(live, begins)
    )
    rows = int(live.sum())
    ks = 0.0
    if rows:
        apart = table.cumsum() / table.sum() - live.cumsum() / rows
        ks = float(np.abs(apart).max())
    return Distances(rows, len(begins), psi, js, ks)


def measure_labels(reference: Mapping[str, int], live: Mapping[str, int]) -> Distances:
    """Return how far the mix of classes has moved; counts by class."""
    table = np.array(list(reference.values()), dtype=np.int64)
    found = np.array([live.get(name, 0) for name in reference], dtype=np.int64)
    psi, js = _measure_cells(table, found)
    return Distances(int(found.sum()), len(table), psi, js, None)


def merge_cells(table: Counts) -> Counts:
    """
    Return where cells begin that hold about a tenth of the table each.

    Parameters
    ----------
    table : ndarray of int, shape (n,)
        Rows of the training table in each cell.
    """
    least = max(table.sum() / CELLS, LEAST_CELL)
    begins, held = [0], 0
    for place, rows in enumerate(table):
        if held >= least:
            begins.append(place)
            held = 0
        held += int(rows)
    if held < least and len(begins) > 1:
        begins.pop()  # what is left goes to its neighbour
    return np.array(begins, dtype=np.int64)


def _measure_cells(table: Counts, live: Counts) -> tuple[float, float]:
    """Return the population stability index and the Jensen-Shannon distance."""
    if not live.sum():
        return 0.0, 0.0
    # As if the table had as many rows as live: equal shares are at no distance.
    rows = live.sum()
    expected, found = (
        (counts / counts.sum() * rows + PSEUDO) / (rows + PSEUDO * len(counts))
        for counts in (table, live)
    )
    psi = ((found - expected) * np.log(found / expected)).sum()
    return float(psi), float(distance.jensenshannon(expected, found, base=2))


def bound_psi(found: Distances, table_rows: int, alpha: float) -> float:
    """
    Return a lower bound of the population stability index.

    Parameters
    ----------
    found : Distances
    table_rows : int
        Size of the training table, whose noise counts as much as that of the rows.
    alpha : float
        How often the bound may lie above the truth.

    Notes
    -----
    With N = 1 / (1/table + 1/rows), N times the index is distributed as chi-squared
    with cells - 1 degrees of freedom and N times the true index as its noncentrality,
    as far as that is small; the bound inverts this.
    """
    if found.cells < 2 or not found.rows:
        return 0.0
    size = 1 / (1 / table_rows + 1 / found.rows)
    statistic, freedom = size * found.psi, found.cells - 1
    if stats.chi2.sf(statistic, freedom) >= alpha:
        return 0.0

    def excess(centre: float) -> float:
        return float(stats.ncx2.sf(statistic, freedom, centre)) - alpha

    # At the statistic itself, about a half lies above.
    return float(optimize.brentq(excess, 1e-9, statistic)) / size


def judge(name: str, found: Distances, table_rows: int, comparisons: int) -> Comparison:
    """
    Return a comparison with its state.

    Parameters
    ----------
    comparisons : int
        As many as are made together; each gets its part of :data:`FALSE_ALARMS`
        (Bonferroni).
    """
    low = bound_psi(found, table_rows, FALSE_ALARMS / comparisons)
    if found.rows < LEAST_ROWS:
        return Comparison(name, found, low, "too few rows")
    return Comparison(name, found, low, "alarm" if low > LARGE else "no alarm")
