"""
What live's metrics say of its training table and of its traffic; pure.

The text is a stranger's: only lines of a few families are read, only so many things
are taken from them, and what makes no sense is left out.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from typing import Literal

from prometheus_client.parser import text_string_to_metric_families

Kind = Literal["feature", "labels", "confidence"]

MOST_FEATURES, MOST_CELLS = 64, 256
_MOST_ROWS = 1e15
_LONGEST_LINE = 1024
_SLACK = 1e-6

_ROWS = "model_reference_rows"
_STARTED = "process_start_time_seconds"
#: Live's counts, and the same of the training table.
_VALUES = ("model_feature_value_bucket", "model_feature_reference_ratio")
_LABELS = ("model_predictions_total", "model_label_reference_ratio")
_CONFIDENCE = ("model_confidence_ratio_bucket", "model_confidence_reference_ratio")
_FAMILIES = (_ROWS, _STARTED, *_VALUES, *_LABELS, *_CONFIDENCE)

#: By family, by feature or "", by edge or label or ""; empty where there is nothing.
_Values = defaultdict[str, defaultdict[str, dict[str, float]]]
_Cells = Mapping[str, float]
_Found = tuple["Reference", Sequence[float]]


@dataclass(frozen=True, slots=True)
class Reference:
    """
    The training table's side of one comparison.

    Attributes
    ----------
    cells : tuple of str
        Labels, or upper ends of ascending cells, the last of which has none.
    shares : tuple of float
        Of the table's rows in each cell; together 1.
    """

    kind: Kind
    name: str
    cells: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What live's metrics said at one moment.

    Attributes
    ----------
    at : float
        By a clock that is never set.
    process : float
        When the process began that answered; 0.0 where it does not say so.
    table_rows : float
        Of the training table.
    counts : tuple of array of float
        For each reference, what live has counted so far in its cells.
    """

    at: float
    process: float
    table_rows: float
    references: tuple[Reference, ...]
    counts: "tuple[array[float], ...]"


def parse_sample(body: bytes, at: float) -> Sample | None:
    """Return what an exposition says, None if nothing in it can be compared."""
    try:
        values = _parse_values(body.decode("utf-8", "replace"))
        found = list(_comparable(values))
    except (ValueError, IndexError, OverflowError):
        # What the library raises, and `float`, when a line is none.
        return None
    table_rows = values[_ROWS][""].get("", 0.0)
    if not found or not 1 <= table_rows <= _MOST_ROWS:
        return None
    started = values[_STARTED][""].get("", 0.0)
    references, counts = zip(*found, strict=True)
    kept = tuple(array("d", one) for one in counts)
    return Sample(at, started, table_rows, references, kept)


def _parse_values(text: str) -> _Values:
    lines = [
        line
        for line in text.split("\n")
        if line.startswith(_FAMILIES) and len(line) <= _LONGEST_LINE
    ]
    values: _Values = defaultdict(lambda: defaultdict(dict))
    for family in text_string_to_metric_families("\n".join(lines)):
        for one in family.samples:
            cells = values[one.name][one.labels.get("feature", "")]
            cell = one.labels.get("le", one.labels.get("label", ""))
            # Some split by more than we ask for, such as the model's version.
            cells[cell] = cells.get(cell, 0.0) + float(one.value)
    return values


def _comparable(values: _Values) -> Iterator[_Found]:
    live, table = (values[family] for family in _VALUES)
    for name in list(table)[:MOST_FEATURES]:
        yield from _numbers("feature", name, live[name], table[name])
    live, table = (values[family] for family in _LABELS)
    yield from _labels(live[""], table[""])
    live, table = (values[family] for family in _CONFIDENCE)
    yield from _numbers("confidence", "", live[""], table[""])


def _numbers(kind: Kind, name: str, live: _Cells, table: _Cells) -> Iterator[_Found]:
    """Yield the cells between the edges that both have, if they are such."""
    counted = {float(edge): n for edge, n in live.items()}
    shares = {float(edge): share for edge, share in table.items()}
    edges = sorted(edge for edge in shares if isfinite(edge) and edge in counted)
    if not edges or len(edges) >= MOST_CELLS or inf not in counted:
        return
    counts = _steps([*(counted[edge] for edge in edges), counted[inf]])
    last = shares[edges[-1]]
    # A sum of shares may end a little above 1.
    whole = max(last, 1.0) if last < 1 + _SLACK else 0.0
    held = _steps([*(shares[edge] for edge in edges), whole])
    if counts and held:
        cells = (*(f"{edge:g}" for edge in edges), "+Inf")
        yield Reference(kind, name, cells, tuple(held)), counts


def _labels(live: _Cells, table: _Cells) -> Iterator[_Found]:
    """Yield the table's labels, if their shares are such."""
    if not 0 < len(table) <= MOST_CELLS:
        return
    counts = [live.get(label, 0.0) for label in table]
    are_counts = all(0 <= n <= _MOST_ROWS for n in counts)
    are_shares = all(0 <= share <= 1 for share in table.values())
    if are_counts and are_shares and abs(sum(table.values()) - 1) < _SLACK:
        yield Reference("labels", "", tuple(table), tuple(table.values())), counts


def _steps(totals: Iterable[float]) -> list[float]:
    """Return what is between cumulative values; nothing if they are none."""
    pairs = list(pairwise([0.0, *totals]))
    if all(low <= high <= _MOST_ROWS for low, high in pairs):
        return [high - low for low, high in pairs]
    return []
