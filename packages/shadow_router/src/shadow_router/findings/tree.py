"""
A shallow decision tree: which inputs flip, in a few comparisons; pure.

CART with the Gini impurity on two classes, as scikit-learn grows it: thresholds lie
half-way between neighbouring values, and the split that cleans most is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Row = Sequence[float]


@dataclass(frozen=True, slots=True)
class Condition:
    """`feature <= threshold`, or above it."""

    feature: int
    threshold: float
    is_above: bool

    def holds(self, row: Row) -> bool:
        """Return whether a row fulfils it."""
        return (row[self.feature] > self.threshold) is self.is_above


@dataclass(frozen=True, slots=True)
class Leaf:
    """A region: all its conditions hold; `members` are indices of the rows inside."""

    conditions: tuple[Condition, ...]
    members: tuple[int, ...]


def grow(
    rows: Sequence[Row],
    is_hit: Sequence[bool],
    weights: Sequence[float],
    depth: int = 3,
    least: int = 5,
) -> list[Leaf]:
    """
    Return the leaves of a tree that tells hits from the rest.

    Parameters
    ----------
    rows : sequence of sequences of float
        Shape (n, d), finite.
    is_hit, weights : sequence
        Class and weight of each row.
    depth : int
        Splits from the root to a leaf at most.
    least : int
        Rows in a leaf at the least.
    """
    return list(_grow(_Data(rows, is_hit, weights), range(len(rows)), (), depth, least))


@dataclass(frozen=True, slots=True)
class _Data:
    rows: Sequence[Row]
    is_hit: Sequence[bool]
    weights: Sequence[float]

    def masses(self, members: Sequence[int]) -> tuple[float, float]:
        """Return the weight of the rest and of the hits."""
        hits = sum(self.weights[i] for i in members if self.is_hit[i])
        return sum(self.weights[i] for i in members) - hits, hits


def _grow(
    data: _Data,
    members: Sequence[int],
    conditions: tuple[Condition, ...],
    depth: int,
    least: int,
) -> Iterator[Leaf]:
    classes = {data.is_hit[i] for i in members}
    best = _best_split(data, members, least) if depth and len(classes) > 1 else None
    if best is None:
        yield Leaf(conditions, tuple(members))
        return
    for is_above in (False, True):
        condition = Condition(*best, is_above)
        inside = [i for i in members if condition.holds(data.rows[i])]
        yield from _grow(data, inside, (*conditions, condition), depth - 1, least)


def _impurity(rest: float, hits: float) -> float:
    """Return the Gini impurity times the weight."""
    total = rest + hits
    return 2 * rest * hits / total if total > 0 else 0.0


def _best_split(
    data: _Data, members: Sequence[int], least: int
) -> tuple[int, float] | None:
    whole = data.masses(members)
    lowest, best = _impurity(*whole) - 1e-12, None
    for feature in range(len(data.rows[members[0]])):
        ordered = sorted(members, key=lambda i: data.rows[i][feature])
        rest = hits = 0.0
        for at, (i, following) in enumerate(zip(ordered, ordered[1:]), start=1):
            hits += data.weights[i] * data.is_hit[i]
            rest += data.weights[i] * (not data.is_hit[i])
            low, high = data.rows[i][feature], data.rows[following][feature]
            if low == high or at < least or len(ordered) - at < least:
                continue
            left, right = (rest, hits), (whole[0] - rest, whole[1] - hits)
            impurity = _impurity(*left) + _impurity(*right)
            if impurity < lowest:
                lowest, best = impurity, (feature, (low + high) / 2)
    return best
