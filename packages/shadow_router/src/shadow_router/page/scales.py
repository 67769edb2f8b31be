"""Axes and the intervals of gates on them; pure, and without a word of HTML."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, inf, log10

from shadow_router.verdict.parts import Part

#: How far below its limit a share is still drawn, and around it a ratio.
_BELOW, _AROUND = 100.0, 4.0
_RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from `low` to `high`, drawn from 0 to `length`."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        """Return where a value lies; what is beyond an end lies at the end."""
        if value <= self.low:
            return 0.0
        if value >= self.high:
            return self.length
        span = log10(self.high) - log10(self.low)
        return (log10(value) - log10(self.low)) / span * self.length


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Interval:
    """One part of a gate on its axis, all places in percent of the width."""

    name: str
    state: str
    lower: float
    upper: float
    seen: float | None
    limit: float
    ticks: tuple[Tick, ...]
    #: The same in words, for those who cannot see it.
    said: str
    seen_text: str
    limit_text: str


def share_scale(limit: float, length: float) -> Scale:
    """Return the axis on which a share and its limit can be told apart."""
    return Scale(limit / _BELOW, 1.0, length)


def interval(part: Part) -> Interval:
    """Return a part of a gate as it is drawn."""
    is_ratio = part.limit > 1
    if is_ratio:
        scale = Scale(part.limit / _AROUND, part.limit * _AROUND, 100.0)
        values: Iterable[float] = _RATIOS
    else:
        scale = share_scale(part.limit, 100.0)
        values = powers(scale)
    show = shown_ratio if is_ratio else shown_share
    ticks = (Tick(scale.at(v), show(v)) for v in values if scale.low <= v <= scale.high)
    return Interval(
        name=part.name,
        state=part.state.value.lower(),
        lower=scale.at(part.bounds.lower),
        upper=scale.at(part.bounds.upper),
        seen=None if part.seen is None else scale.at(part.seen),
        limit=scale.at(part.limit),
        ticks=tuple(ticks),
        said=part.said,
        seen_text="–" if part.seen is None else show(part.seen),
        limit_text=show(part.limit),
    )


def powers(scale: Scale) -> list[float]:
    """Return the powers of ten on an axis."""
    first, last = ceil(log10(scale.low) - 1e-9), floor(log10(scale.high) + 1e-9)
    return [10.0**power for power in range(first, last + 1)]


def shown_share(value: float) -> str:
    """Return a share as percent, with two digits that mean something."""
    percent = 100 * value
    if percent == 0:
        return "0 %"
    if percent >= 10:
        return f"{percent:.0f} %" if percent >= 99.95 else f"{percent:.3g} %"
    digits = max(1 - floor(log10(abs(percent))), 0)
    text = f"{percent:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{percent:g}"
    return f"{text} %"


def shown_ratio(value: float) -> str:
    """Return a ratio with its sign."""
    return "any ×" if value == inf else f"{value:.3g} ×"


def linear_ticks(low: float, high: float, length: float) -> tuple[Tick, ...]:
    """Return three to six round values between two ends."""
    span = (high - low) or 1.0
    step = 10.0 ** floor(log10(span / 3))
    step *= next((m for m in (5.0, 2.0, 1.0) if span / (step * m) >= 3), 1.0)
    first = ceil(low / step - 1e-9)
    values = [first * step + at * step for at in range(12)]
    inside = [value for value in values if value <= high + 1e-9 * span]
    return tuple(Tick((v - low) / span * length, f"{v:.6g}") for v in inside)
