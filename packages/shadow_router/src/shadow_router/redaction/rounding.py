"""
Rounding what is a function of an input, where inputs are withheld; pure.

A published model can be asked for every row there could be: beside a precise margin or
distance, a row that is not kept is as good as kept. The bands are what the gates bear.
"""

from bisect import bisect_left

from shadow_router.errors import AnswerUnreadable
from shadow_router.redaction.quotes import DEEPEST, PLACEHOLDER, changed
from shadow_router.rules.paths import Document, parse_path
from shadow_router.rules.rules import Rules
from shadow_router.values import (
    CONFIDENT_MARGIN,
    Bounds,
    Comparison,
    Difference,
    RowDifference,
)

#: Distances are rounded up to the next of these, so that a PASS stays one.
DISTANCES = (0.001, 0.01, 0.05, 0.25, 1.0)
# Beyond the second, each is so many times the one before.
_RATIO, _SMALL = 5.0, DISTANCES[1]


def rounded_distance(distance: float | None) -> float | None:
    """Return a distance of at most 1 rounded up; 0.0 stays, where nothing moved."""
    if not distance:
        return distance
    return DISTANCES[bisect_left(DISTANCES, min(distance, 1.0))]


def rounded_margin(margin: float | None) -> float | None:
    """Return 0.0, or what makes a flip a confident one."""
    if margin is None:
        return None
    return CONFIDENT_MARGIN if margin >= CONFIDENT_MARGIN else 0.0


def rounded_row(row: RowDifference) -> RowDifference:
    """Return a row with its labels, and all else rounded."""
    return row._replace(
        total_variation=rounded_distance(row.total_variation),
        margin=rounded_margin(row.margin),
    )


def rounded_difference(difference: Difference) -> Difference:
    """Return a difference with its fate, labels and reason, and all else rounded."""
    return difference._replace(
        rows=tuple(map(rounded_row, difference.rows)),
        max_delta=rounded_distance(difference.max_delta),
    )


def rounded(item: Comparison) -> Comparison:
    """Return a comparison whose differences are rounded; its answers stay."""
    units = (unit._replace(row=rounded_row(unit.row)) for unit in item.units)
    difference = rounded_difference(item.difference)
    return item._replace(difference=difference, units=tuple(units))


def bounds_before_rounding(rounded: Bounds) -> Bounds:
    """
    Return between which values a mean distance lies, from bounds of the rounded one.

    A rounded distance is less than 5 times as large as it was, or at most 0.01.
    """
    return Bounds(max(rounded.lower - _SMALL, 0.0) / _RATIO, rounded.upper)


class _Said:
    """A value of an answer that stays, as far as it is text or a whole number."""

    def __init__(self, value: Document) -> None:
        self.value = value


def rounded_answer(document: Document, rules: Rules) -> Document:
    """
    Return an answer with its labels, versions and the names of its fields alone.

    All other values may be functions of the input, in whatever form.

    Raises
    ------
    AnswerUnreadable
        If a path of the rules meets a value of another kind, or the answer is nested
        more than 64 deep.
    """
    paths = rules.paths
    for path in filter(None, (paths.label, paths.version, paths.digest)):
        document = changed(document, parse_path(path), _Said)
    return _without_values(document, is_said=False, depth=0)


def _without_values(value: Document, is_said: bool, depth: int) -> Document:
    if isinstance(value, _Said):
        value, is_said = value.value, True
    if depth > DEEPEST:
        raise AnswerUnreadable(f"the answer is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        return {k: _without_values(v, is_said, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_values(one, is_said, depth + 1) for one in value]
    return value if is_said and type(value) in (str, int) else PLACEHOLDER
