"""Numbers arranged for drawing: pure, and without a word of HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from shadow_router.latency import EDGES_MS, quantile_ms
from shadow_router.records import COMPARED, LOST, SKIPPED, Fate
from shadow_router.store import LatencySums
from shadow_router.summary import Summary

CURVE_WIDTH, CURVE_HEIGHT = 640, 150
_CLASSES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """One fate with its share of all requests, in percent."""

    fate: Fate
    kind: str
    n: int
    percent: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of unique inputs that kept their label, with bounds; all in percent."""

    share: float | None
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of live's labels (rows) by the shadow's (columns)."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    #: Classes beyond those shown, which are the most frequent.
    hidden: int


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Quantiles of one role by one clock, in milliseconds."""

    role: str
    clock: str
    n: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One role's distribution as the points of an SVG polyline."""

    role: str
    points: str


@dataclass(frozen=True, slots=True)
class Curves:
    """Both distributions over one logarithmic axis with its ticks."""

    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]


def agreement(summary: Summary) -> Agreement:
    """Return the share of unique inputs whose labels agree."""
    inputs, bounds = summary.unique_inputs, summary.verdict.flip_rate
    share = 100 * (1 - summary.unique_flips / inputs) if inputs else None
    return Agreement(share, 100 * (1 - bounds.upper), 100 * (1 - bounds.lower))


def kind_of(fate: Fate) -> str:
    """Return the colour class of a fate."""
    if fate in (Fate.MATCH, Fate.WITHIN_TOLERANCE):
        return "good"
    if fate is Fate.PROBA_SHIFT:
        return "notice"
    if fate in LOST:
        return "lost"
    return "skipped" if fate in SKIPPED else "bad"


def fate_bars(fates: Mapping[Fate, int]) -> list[Bar]:
    """Return the fates that occurred, and the main one even before any did."""
    total = sum(fates.values())
    return [
        Bar(fate, kind_of(fate), n, 100 * n / total if total else 0.0)
        for fate, n in fates.items()
        if n or fate in COMPARED
    ]


def confusion(pairs: Mapping[tuple[str, str], int]) -> Confusion:
    """Return the matrix of the most frequent labels, in alphabetical order."""
    weights: dict[str, int] = {}
    for pair, n in pairs.items():
        for label in pair:
            weights[label] = weights.get(label, 0) + n
    frequent = sorted(weights, key=lambda label: -weights[label])[:_CLASSES_SHOWN]
    labels = tuple(sorted(frequent))
    rows = tuple(tuple(pairs.get((a, b), 0) for b in labels) for a in labels)
    return Confusion(labels, rows, len(weights) - len(labels))


def latency_rows(sums: Sequence[LatencySums]) -> list[LatencyRow]:
    """Return the table of quantiles, the servers' own clocks first."""
    ordered = sorted(sums, key=lambda item: (item.clock != "server", item.role))
    return [
        LatencyRow(
            item.role,
            item.clock,
            sum(item.counts.values()),
            quantile_ms(item.counts, 0.50),
            quantile_ms(item.counts, 0.95),
            quantile_ms(item.counts, 0.99),
        )
        for item in ordered
    ]


def latency_curves(sums: Sequence[LatencySums]) -> Curves | None:
    """Return both distributions by the router's clocks, None before any answer."""
    chosen = [item for item in sums if item.clock == "caller"]
    seen = sorted({bucket for item in chosen for bucket in item.counts})
    if not seen:
        return None
    first = max(seen[0] - 2, 0)
    last = min(max(seen[-1] + 2, first + 8), len(EDGES_MS) - 1)
    curves = tuple(Curve(item.role, _points(item, first, last)) for item in chosen)
    return Curves(curves, tuple(_ticks(first, last)))


def _points(item: LatencySums, first: int, last: int) -> str:
    highest = max(item.counts.values())
    step = CURVE_WIDTH / (last - first)
    points = []
    for place, bucket in enumerate(range(first, last + 1)):
        height = item.counts.get(bucket, 0) / highest * (CURVE_HEIGHT - 10)
        points.append(f"{place * step:.1f},{CURVE_HEIGHT - height:.1f}")
    return " ".join(points)


def _ticks(first: int, last: int) -> list[tuple[float, str]]:
    low, high = log10(EDGES_MS[first]), log10(EDGES_MS[last])
    candidates = [base * 10**power for power in range(-2, 6) for base in (1, 3)]
    return [
        ((log10(ms) - low) / (high - low) * CURVE_WIDTH, f"{ms:g} ms")
        for ms in candidates
        if low <= log10(ms) <= high
    ]
