"""
How far the last hour's traffic has moved from the training table; pure.

The measures are those of ``iris-model drift``, over the cells that live exports, and
the alarms those of Prometheus. No gate asks for them.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import log, log2, sqrt
from typing import Literal

from shadow_router.watch.exposition import Kind, Reference, Sample

State = Literal["alarm", "no alarm", "too few rows"]

# Of iris_model.drift, as are the formulas.
CELLS = 10
# Of a cell where inputs are withheld.
_FEW_CELLS_SHARE = 0.25
LEAST_CELL = 5
PSEUDO = 0.5

# Of docker/prometheus/rules/alerts.yml, which a test holds against these: FeatureDrift
# for what lies on an axis, ClassMixChanged for labels.
LIMITS: Mapping[Kind, float] = {"feature": 0.25, "labels": 0.2, "confidence": 0.25}
# Of FeatureDrift. ClassMixChanged has a day's traffic to compare 200 rows with; against
# a training table of 150 rows and ten classes they alarm falsely in 2 of 100 hours.
LEAST_ROWS = 1000
# With fewer rows of the table, or of either for each class, noise passes the limits too
# often.
LEAST_TABLE_ROWS, A_CLASS = 100, 15


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    One thing of live's traffic, compared with the training table.

    Attributes
    ----------
    shares : tuple of float
        Of live's rows in each cell of the reference; all 0.0 before the first row.
    psi, js : float
        Population stability index, and Jensen-Shannon distance (logarithm to 2).
    moved : float
        What is held against the limit: Kolmogorov-Smirnov's distance or, of labels,
        the share of rows that would have to change class to have the table's mix.
    """

    reference: Reference
    shares: tuple[float, ...]
    rows: int
    psi: float
    js: float
    moved: float
    state: State

    @property
    def ks(self) -> float | None:
        """Return Kolmogorov-Smirnov's distance, None for labels: they have no order."""
        return None if self.reference.kind == "labels" else self.moved

    @property
    def limit(self) -> float:
        """Return beyond what it alarms."""
        return LIMITS[self.reference.kind]

    @property
    def least_rows(self) -> int:
        """Return with how many of live's rows it says whether it does."""
        return _least(self.reference, LEAST_ROWS)


@dataclass(frozen=True, slots=True)
class Drift:
    """All comparisons of what was answered between two moments of their clock."""

    begin: float
    end: float
    table_rows: int
    comparisons: tuple[Comparison, ...]


def drift_between(
    samples: Sequence[Sample], tells_little: bool = False
) -> Drift | None:
    """
    Return the drift of what live answered between samples, None without any.

    Parameters
    ----------
    samples : sequence of Sample
        In order of time; those of another model than the newest are left out.
    tells_little : bool, optional
        Whether cells are joined until each holds a quarter of the table. Counts before
        and after one request tell in which cells its row lies.
    """
    if not samples:
        return None
    newest = samples[-1]
    alike = [one for one in samples if one.references == newest.references]
    counted = zip(newest.references, grown(alike), strict=True)
    compared = (_joined(*both) if tells_little else both for both in counted)
    return Drift(
        alike[0].at,
        newest.at,
        int(newest.table_rows),
        tuple(compare(one, counts, newest.table_rows) for one, counts in compared),
    )


def _joined(
    reference: Reference, counts: Sequence[float]
) -> tuple[Reference, Sequence[float]]:
    """Return both with few cells; labels, which the report counts anyway, stay."""
    if reference.kind == "labels":
        return reference, counts
    begins = begins_of(reference.shares, _FEW_CELLS_SHARE)
    ends = [*begins[1:], len(counts)]
    cells = tuple(reference.cells[end - 1] for end in ends)
    shares = tuple(_merged(reference.shares, begins))
    return replace(reference, cells=cells, shares=shares), _merged(counts, begins)


def grown(samples: Sequence[Sample]) -> "tuple[array[float], ...]":
    """
    Return how much each count grew between samples of the same model.

    Each sample is held against the one before it of the same process: what another
    replica has counted is no growth, and what a process counted before it was first
    seen, or before its counts began anew, is left out.
    """
    total = tuple(array("d", bytes(8 * len(one))) for one in samples[-1].counts)
    last: dict[float, Sample] = {}
    for sample in samples:
        before = last.get(sample.process, sample)
        last[sample.process] = sample
        steps = [
            [new - old for old, new in zip(*both, strict=True)]
            for both in zip(before.counts, sample.counts, strict=True)
        ]
        if min(map(min, steps)) < 0:
            continue
        for sums, step in zip(total, steps, strict=True):
            for place, rows in enumerate(step):
                sums[place] += rows
    return total


def compare(
    reference: Reference, counts: Sequence[float], table_rows: float
) -> Comparison:
    """
    Return one comparison.

    Parameters
    ----------
    reference : Reference
    counts : sequence of float
        Live's rows in each of its cells.
    table_rows : float
        Of the training table.
    """
    rows = sum(counts)
    if not rows:
        nothing = (0.0,) * len(counts)
        return Comparison(reference, nothing, 0, 0.0, 0.0, 0.0, "too few rows")
    shares = tuple(n / rows for n in counts)
    # Shares are quotients of whole rows: unrounded, a cell may just miss its tenth.
    table = [round(share * table_rows, 6) for share in reference.shares]
    if reference.kind == "labels":
        apart = (abs(a - b) for a, b in zip(reference.shares, shares, strict=True))
        moved, begins = sum(apart) / 2, list(range(len(table)))
    else:
        ends = zip(accumulate(table), accumulate(counts), strict=True)
        moved = max(abs(a / table_rows - b / rows) for a, b in ends)
        begins = merge_cells(table)
    psi, js = _distances(_merged(table, begins), _merged(counts, begins))
    are_few = rows < _least(reference, LEAST_ROWS)
    state: State = "alarm" if moved > LIMITS[reference.kind] else "no alarm"
    if are_few or table_rows < _least(reference, LEAST_TABLE_ROWS):
        state = "too few rows"
    return Comparison(reference, shares, int(rows), psi, js, moved, state)


def _least(reference: Reference, least: int) -> int:
    """Return how many rows of one side it takes to say anything."""
    of_classes = A_CLASS * len(reference.cells) if reference.kind == "labels" else 0
    return max(least, of_classes)


def merge_cells(table: Sequence[float]) -> list[int]:
    """Return where cells begin that hold about a tenth of the table each."""
    return begins_of(table, max(sum(table) / CELLS, LEAST_CELL))


def begins_of(table: Sequence[float], least: float) -> list[int]:
    """Return where cells begin that hold so much of the table each."""
    begins, held = [0], 0.0
    for place, rows in enumerate(table):
        if held >= least:
            begins.append(place)
            held = 0.0
        held += rows
    if held < least and len(begins) > 1:
        begins.pop()  # what is left goes to its neighbour
    return begins


def _merged(counts: Sequence[float], begins: Sequence[int]) -> list[float]:
    ends = [*begins[1:], len(counts)]
    return [sum(counts[a:b]) for a, b in zip(begins, ends, strict=True)]


def _distances(table: Sequence[float], live: Sequence[float]) -> tuple[float, float]:
    """Return the population stability index and the Jensen-Shannon distance."""
    psi = bits = 0.0
    # As if the table had as many rows as live: equal shares are at no distance.
    rows = sum(live)
    both = (_smoothed(counts, rows) for counts in (table, live))
    for a, b in zip(*both, strict=True):
        psi += (b - a) * log(b / a)
        middle = (a + b) / 2
        bits += (a * log2(a / middle) + b * log2(b / middle)) / 2
    # Of equal samples it may be a little below nothing.
    return psi, sqrt(max(bits, 0.0))


def _smoothed(counts: Sequence[float], rows: float) -> list[float]:
    whole, counted = rows + PSEUDO * len(counts), sum(counts)
    return [(n / counted * rows + PSEUDO) / whole for n in counts]
