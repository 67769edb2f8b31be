"""The last hour as bars and lines of an SVG; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from shadow_router.page.charts import kind_of
from shadow_router.page.scales import Tick
from shadow_router.watch.hour import HOUR_S, Span

WIDTH, HEIGHT = 1000.0, 110.0
#: From the ground up, with what a reader is told of each.
KINDS = {
    "good": "agrees",
    "notice": "probabilities shifted",
    "bad": "differs or failed",
    "lost": "lost",
    "skipped": "not compared",
}
#: A collector that has just begun has an axis of so much; its ticks, and those later.
_SHORTEST_S = 600
_TICKS_S = {1200: 120, 2400: 300}
#: Levels of a grid that people read at a glance.
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bar:
    """Requests of one kind in one span."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time from left to right; moments in s since 1970."""

    begin: float
    end: float

    def at(self, moment: float) -> float:
        length = self.end - self.begin
        return max(moment - self.begin, 0.0) / length * WIDTH


@dataclass(frozen=True, slots=True)
class HourPanel:
    """Requests a second by kind, and the slowest hundredth of the answers."""

    bars: tuple[Bar, ...]
    #: Kinds that occurred, with their meanings.
    kinds: tuple[tuple[str, str], ...]
    rate_ticks: tuple[Tick, ...]
    #: Role and points of each line; several where nothing came for a while.
    lines: tuple[tuple[str, str], ...]
    ms_ticks: tuple[Tick, ...]
    time_ticks: tuple[Tick, ...]
    received: int
    said: str


def hour_panel(spans: Sequence[Span], now: float) -> HourPanel | None:
    """Return the panel of an hour that ends now, None before anything was counted."""
    shown = [s for s in spans if s.end > now - HOUR_S and s.end > s.begin]
    if not shown:
        return None
    began = max(shown[0].begin, now - HOUR_S)
    axis = _Axis(min(began, now - _SHORTEST_S), now)
    rates = [_rates(span) for span in shown]
    most_rate = _rounded(max(sum(one.values()) for one in rates))
    slowest = [ms for span in shown for ms in span.p99_ms.values() if ms is not None]
    most_ms = _rounded(max(slowest, default=0.0))
    received = sum(sum(span.fates.values()) for span in shown)
    seen = {kind for one in rates for kind, rate in one.items() if rate}
    return HourPanel(
        bars=tuple(
            bar
            for span, one in zip(shown, rates, strict=True)
            for bar in _bars(span, one, axis, most_rate)
        ),
        kinds=tuple(item for item in KINDS.items() if item[0] in seen),
        rate_ticks=_levels(most_rate, "/s"),
        lines=tuple(
            (role, line)
            for role in ("live", "shadow")
            for line in _lines(shown, role, axis, most_ms)
        ),
        ms_ticks=_levels(most_ms, " ms"),
        time_ticks=_moments(axis),
        received=received,
        said=_said(shown, received),
    )


def _rates(span: Span) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for fate, n in span.fates.items():
        counts[kind_of(fate)] += n
    return {kind: counts[kind] / (span.end - span.begin) for kind in KINDS}


def _bars(
    span: Span, rates: Mapping[str, float], axis: _Axis, most: float
) -> list[Bar]:
    left = axis.at(span.begin)
    width = axis.at(span.end) - left
    bars, y = [], HEIGHT
    for kind in KINDS:
        height = rates[kind] / most * HEIGHT
        y -= height
        if height:
            bars.append(Bar(kind, left, y, width, height))
    return bars


def _lines(spans: Sequence[Span], role: str, axis: _Axis, most: float) -> list[str]:
    lines: list[list[str]] = [[]]
    for span in spans:
        ms = span.p99_ms[role]
        if ms is None:
            lines.append([])
        else:
            x = (axis.at(span.begin) + axis.at(span.end)) / 2
            lines[-1].append(f"{x:.1f},{HEIGHT - ms / most * HEIGHT:.1f}")
    # A single point is no line: a short one makes it seen.
    return [" ".join(one if len(one) > 1 else one * 2) for one in lines if one]


def _rounded(value: float) -> float:
    """Return the round number above a value; 1 where there is nothing."""
    if value <= 0:
        return 1.0
    power = 1e-3
    while True:
        for digit in _ROUND:
            if digit * power >= value:
                return digit * power
        power *= 10


def _levels(most: float, unit: str) -> tuple[Tick, ...]:
    return tuple(
        Tick(HEIGHT - share * HEIGHT, f"{share * most:g}{unit}") for share in (0.5, 1.0)
    )


def _moments(axis: _Axis) -> tuple[Tick, ...]:
    length = axis.end - axis.begin
    step = next((s for most, s in _TICKS_S.items() if length <= most), 600)
    moments = range(ceil(axis.begin / step) * step, int(axis.end), step)
    return tuple(
        Tick(axis.at(at), datetime.fromtimestamp(at, UTC).strftime("%H:%M"))
        for at in moments
        if 20 < axis.at(at) < WIDTH - 20
    )


def _said(spans: Sequence[Span], received: int) -> str:
    minutes = (spans[-1].end - spans[0].begin) / 60
    fastest = max(sum(s.fates.values()) / (s.end - s.begin) for s in spans)
    return (
        f"{received:,} requests in {minutes:.0f} minutes, at most {fastest:,.3g} a "
        "second over 20 seconds"
    )
