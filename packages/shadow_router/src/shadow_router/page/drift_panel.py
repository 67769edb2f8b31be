"""Drift as bars over outlines, and in words; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shadow_router.verdict.verdict import duration
from shadow_router.watch.drift import Comparison, Drift
from shadow_router.watch.exposition import Kind

WIDTH, HEIGHT = 100.0, 40.0
#: Beyond so many comparisons the page shows the others when asked.
SHOWN = 12
#: Labels that are written below their bars.
_MOST_NAMED = 6
_TONES = {"alarm": "fail", "no alarm": "pass", "too few rows": "known"}
_NAMES: dict[Kind, str] = {"labels": "Class mix", "confidence": "Confidence"}
_WHAT: dict[Kind, str] = {
    "feature": "feature",
    "labels": "predicted classes",
    "confidence": "largest probability",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """Live's rows in one cell; in percent of the width, and up to `HEIGHT`."""

    x: float
    width: float
    height: float
    said: str


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison as it is drawn."""

    name: str
    what: str
    comparison: Comparison
    tone: str
    bars: tuple[Bar, ...]
    #: The table's shares, as the points of a line in steps.
    outline: str
    #: What is written below: labels, or both ends of the axis.
    below: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True)
class DriftPanel:
    """All comparisons, alarms first; those that are not shown at once are in `more`."""

    rows: tuple[Row, ...]
    more: tuple[Row, ...]
    said: str


def drift_panel(drift: Drift | None) -> DriftPanel | None:
    """Return the panel, None where live tells nothing of its training table."""
    if drift is None:
        return None
    ordered = sorted(drift.comparisons, key=lambda one: one.state != "alarm")
    rows = tuple(map(_row, ordered))
    return DriftPanel(rows[:SHOWN], rows[SHOWN:], _said(drift))


def _said(drift: Drift) -> str:
    n = len(drift.comparisons)
    alarms = sum(one.state == "alarm" for one in drift.comparisons)
    rows = max(one.rows for one in drift.comparisons)
    time = duration(drift.end - drift.begin)
    return (
        f"{rows:,} rows that live answered in {time}, against {drift.table_rows:,} of "
        f"the training table: {_counted(n, 'comparison')}, each with a chance to be "
        f"wrong, and {_counted(alarms, 'alarm')}"
    )


def _counted(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"


def _row(one: Comparison) -> Row:
    reference = one.reference
    begin, end = _extent(one)
    cells = reference.cells[begin:end]
    expected, found = reference.shares[begin:end], one.shares[begin:end]
    most = max(*expected, *found)
    width = WIDTH / len(cells)
    is_mix = reference.kind == "labels"
    names = cells if is_mix else tuple(_spans(reference.cells))[begin:end]
    said = [
        f"{name}: {b:.1%} of live's rows, {a:.1%} of the table's"
        for name, a, b in zip(names, expected, found, strict=True)
    ]
    heights = [share / most * HEIGHT for share in expected]
    return Row(
        name=_NAMES.get(reference.kind, reference.name),
        what=_WHAT[reference.kind],
        comparison=one,
        tone=_TONES[one.state],
        bars=tuple(
            Bar(at * width, width, share / most * HEIGHT, text)
            for at, (share, text) in enumerate(zip(found, said, strict=True))
        ),
        outline=" ".join(_outline(heights, width)),
        below=_below(names, is_mix),
        said="; ".join(said[:_MOST_NAMED]),
    )


def _extent(one: Comparison) -> tuple[int, int]:
    """Return the cells between the outermost that hold anything."""
    both = zip(one.reference.shares, one.shares, strict=True)
    held = [at for at, pair in enumerate(both) if any(pair)]
    return held[0], held[-1] + 1


def _spans(ends: Sequence[str]) -> Iterator[str]:
    """Yield what each cell holds, in words."""
    if len(ends) == 1:
        yield "any value"
        return
    yield f"≤ {ends[0]}"
    for low, high in zip(ends, ends[1:-1]):
        yield f"{low} to {high}"
    yield f"> {ends[-2]}"


def _outline(heights: Sequence[float], width: float) -> Iterator[str]:
    yield f"0,{HEIGHT:g}"
    for at, height in enumerate(heights):
        for x in (at * width, (at + 1) * width):
            yield f"{x:.2f},{HEIGHT - height:.2f}"
    yield f"{WIDTH:g},{HEIGHT:g}"


def _below(names: Sequence[str], is_mix: bool) -> tuple[str, ...]:
    if is_mix:
        return tuple(names) if len(names) <= _MOST_NAMED else ()
    return (names[0], names[-1]) if len(names) > 1 else (names[0],)
