"""Numbers arranged for drawing: pure, and without a word of HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shadow_router.run.accounts import Accounts
from shadow_router.store import LatencySums, MarginBin
from shadow_router.values import LOST, SKIPPED, Fate
from shadow_router.verdict.latency import quantile_ms

_CLASSES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the waterfall; `start` and `width` in percent of all received."""

    name: str
    kind: str
    n: int
    start: float
    width: float
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """How often live said the row's label and the shadow the column's."""

    shadow: str
    n: int
    is_flip: bool
    #: Between 0 and 1, for the strength of the colour.
    share: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of live's labels (rows) by the shadow's (columns)."""

    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
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
class MarginBar:
    """Flips at one margin; `x`, `width` and `height` in percent of the drawing."""

    low: float
    high: float
    inputs: int
    flips: int
    x: float
    width: float
    height: float


def kind_of(fate: Fate) -> str:
    """Return the colour class of a fate."""
    if fate in (Fate.MATCH, Fate.WITHIN_TOLERANCE):
        return "good"
    if fate in (Fate.PROBA_SHIFT, Fate.CLIENT_ERROR_DIFFERS):
        return "notice"
    if fate in LOST:
        return "lost"
    return "skipped" if fate in SKIPPED else "bad"


def waterfall(accounts: Accounts) -> list[Step]:
    """
    Return how the requests received come down to those that agree.

    Every fate that occurred takes its part off what was left by the ones before; the
    last, `match`, is what remains.
    """
    received = accounts.received
    scale = 100 / received if received else 0.0
    steps = [Step("received", "total", received, 0.0, received * scale)]
    left = received
    for group, total in (
        ("skipped", "sampled"),
        ("lost", "sent to the shadow"),
        ("rest", ""),
    ):
        for fate, n in _group(accounts.fates, group):
            left -= n
            start, width = left * scale, n * scale
            steps.append(Step(fate.value, kind_of(fate), n, start, width, fate))
        if group == "lost" and accounts.open:
            left -= accounts.open
            width = accounts.open * scale
            steps.append(Step("in flight", "open", accounts.open, left * scale, width))
        if total:
            steps.append(Step(total, "total", left, 0.0, left * scale))
    return steps


def _group(fates: Mapping[Fate, int], group: str) -> list[tuple[Fate, int]]:
    def group_of(fate: Fate) -> str:
        if fate in SKIPPED:
            return "skipped"
        return "lost" if fate in LOST else "rest"

    # Worst first, so that what agrees comes last and stands on the ground.
    order = ("bad", "notice", "good")
    found = [
        (fate, n)
        for fate, n in fates.items()
        if group_of(fate) == group and (n or fate is Fate.MATCH)
    ]
    if group != "rest":
        return found
    return sorted(
        found, key=lambda one: (order.index(kind_of(one[0])), one[0] is Fate.MATCH)
    )


def confusion(pairs: Mapping[tuple[str, str], int]) -> Confusion:
    """Return the matrix of the most frequent labels, in alphabetical order."""
    weights: dict[str, int] = {}
    for pair, n in pairs.items():
        for label in pair:
            weights[label] = weights.get(label, 0) + n
    frequent = sorted(weights, key=lambda label: -weights[label])[:_CLASSES_SHOWN]
    labels = tuple(sorted(frequent))
    rows = []
    for live in labels:
        whole = sum(pairs.get((live, shadow), 0) for shadow in labels) or 1
        counts = ((shadow, pairs.get((live, shadow), 0)) for shadow in labels)
        cells = (Cell(s, n, s != live and n > 0, n / whole) for s, n in counts)
        rows.append((live, tuple(cells)))
    return Confusion(labels, tuple(rows), len(weights) - len(labels))


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


def margin_bars(margins: Sequence[MarginBin]) -> list[MarginBar]:
    """Return the histogram of flips by margin; empty before the first flip."""
    most = max((one.flips for one in margins), default=0)
    if not most:
        return []
    width = 100 / len(margins)
    return [
        MarginBar(
            one.low,
            one.high,
            one.inputs,
            one.flips,
            at * width,
            width,
            100 * one.flips / most,
        )
        for at, one in enumerate(margins)
    ]
