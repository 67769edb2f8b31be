"""Curves, bands and scatter plots as the points of SVG paths; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shadow_router.findings.diagnosis import Diagnosis
from shadow_router.page.scales import (
    Scale,
    Tick,
    linear_ticks,
    powers,
    share_scale,
    shown_share,
)
from shadow_router.rules.rules import Rules
from shadow_router.store import Moment, Sample
from shadow_router.verdict.evidence import Evidence, Sketch, Tallies
from shadow_router.verdict.gates import GATES
from shadow_router.verdict.latency import FINE_BUCKETS, fine_edges_ms
from shadow_router.verdict.parts import Part

BAND_WIDTH, BAND_HEIGHT = 320.0, 150.0
CURVE_WIDTH, CURVE_HEIGHT = 520.0, 150.0
PLOT_WIDTH, PLOT_HEIGHT = 520.0, 360.0
#: Gates whose past bounds can be told from the history.
TRACED = ("flips", "confident_flips", "distance")
_POINTS = 48
_MERGED = 8
_COLOURS = 7
_WIDEST = Scale(1e-3, 1e12, 1.0)


@dataclass(frozen=True, slots=True)
class Band:
    """How the bounds of one gate closed in, over unique inputs."""

    gate: str
    area: str
    seen: str
    limit: float
    limit_text: str
    #: The bounds now, in words.
    said: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Both distributions over one logarithmic axis."""

    clock: str
    pairs: int
    lines: tuple[tuple[str, str], ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Dots:
    """Inputs of one label, or all flips, as one path of round dots."""

    name: str
    colour: int
    n: int
    path: str


@dataclass(frozen=True, slots=True)
class Box:
    """A region as far as its two axes show it."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Scatter:
    """Flips among inputs that agree, on two features."""

    across: str
    up: str
    names: tuple[str, ...]
    agreeing: tuple[Dots, ...]
    flips: Dots
    boxes: tuple[Box, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def bands(history: Sequence[Moment], rules: Rules, alpha: float) -> list[Band]:
    """Return the past of the bounds, a band for each gate that has one."""
    moments = _thinned(history)
    if len(moments) < 2:
        return []
    names = TRACED if rules.paths.probabilities else TRACED[:1]
    return [_band(name, moments, rules, alpha) for name in names]


def _thinned(history: Sequence[Moment]) -> list[Moment]:
    last = len(history) - 1
    step = max(last / (_POINTS - 1), 1.0) if last > 0 else 1.0
    places = {round(at * step) for at in range(_POINTS)} | {last}
    return [history[at] for at in sorted(places) if 0 <= at <= last]


def _band(name: str, moments: Sequence[Moment], rules: Rules, alpha: float) -> Band:
    parts = [_part(name, moment, rules, alpha) for moment in moments]
    limit = parts[-1].limit
    y = share_scale(limit, BAND_HEIGHT)
    x = Scale(moments[0].inputs, max(moments[-1].inputs, 2), BAND_WIDTH)
    places = [x.at(moment.inputs) for moment in moments]
    upper = [_point(at, y, p.bounds.upper) for at, p in zip(places, parts, strict=True)]
    lower = [_point(at, y, p.bounds.lower) for at, p in zip(places, parts, strict=True)]
    seen = [_point(at, y, p.seen or 0.0) for at, p in zip(places, parts, strict=True)]
    return Band(
        gate=name,
        area=" ".join(upper + lower[::-1]),
        seen=" ".join(seen),
        limit=BAND_HEIGHT - y.at(limit),
        limit_text=shown_share(limit),
        said=parts[-1].said,
        across=_decades(x),
        up=tuple(Tick(BAND_HEIGHT - y.at(v), shown_share(v)) for v in powers(y)),
    )


def _point(x: float, y: Scale, value: float) -> str:
    return f"{x:.1f},{BAND_HEIGHT - y.at(value):.1f}"


def _decades(x: Scale) -> tuple[Tick, ...]:
    bases = (1,) if x.high / x.low > 1e3 else (1, 2, 5)
    values = [base * power for power in powers(_WIDEST) for base in bases]
    inside = [value for value in values if x.low <= value <= x.high]
    return tuple(Tick(x.at(value), _short(value)) for value in inside)


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


@lru_cache(maxsize=2048)
def _part(name: str, moment: Moment, rules: Rules, alpha: float) -> Part:
    pairs = {("=", "="): moment.inputs - moment.flips, ("=", "≠"): moment.flips}
    tallies = Tallies(
        pairs=pairs,
        measured=moment.measured,
        confident_flips=moment.confident_flips,
        distance=moment.distance,
        squared_distance=moment.squared_distance,
    )
    return GATES[name](Evidence({}, tallies), rules, alpha).parts[0]


def latency_curves(sketches: Mapping[str, Sketch]) -> list[Curves]:
    """Return live's and the shadow's latencies on the same requests, by clock."""
    return [
        _curves(clock, sketches[clock])
        for clock in ("server", "caller")
        if clock in sketches and sketches[clock].pairs
    ]


def _curves(clock: str, sketch: Sketch) -> Curves:
    live, shadow = _merged(sketch.live), _merged(sketch.shadow)
    seen = sorted({*live, *shadow})
    first = max(seen[0] - 1, 0)
    last = max(seen[-1] + 1, first + 6)
    most = max(*live.values(), *shadow.values())
    lines = (
        (role, _line(counts, first, last, most))
        for role, counts in (("live", live), ("shadow", shadow))
    )
    edges = [fine_edges_ms(_MERGED * at)[1] for at in (first, last - 1)]
    x = Scale(edges[0], edges[1], CURVE_WIDTH)
    values = [base * power for power in powers(_WIDEST) for base in (1, 3)]
    ticks = [Tick(x.at(v), f"{v:g} ms") for v in values if x.low <= v <= x.high]
    return Curves(clock, int(sketch.pairs), tuple(lines), tuple(ticks))


def _merged(counts: Mapping[int, float]) -> dict[int, float]:
    merged: dict[int, float] = {}
    for bucket, n in counts.items():
        # Answers that never came have the last bucket; they are no latency to draw.
        if bucket < FINE_BUCKETS - 1:
            merged[bucket // _MERGED] = merged.get(bucket // _MERGED, 0.0) + n
    return merged or {0: 0.0}


def _line(counts: Mapping[int, float], first: int, last: int, most: float) -> str:
    step, scale = CURVE_WIDTH / (last - first), (CURVE_HEIGHT - 8) / (most or 1)
    return " ".join(
        f"{at * step:.1f},{CURVE_HEIGHT - scale * counts.get(place, 0.0):.1f}"
        for at, place in enumerate(range(first, last + 1))
    )


def scatter(found: Diagnosis, across: str, up: str) -> Scatter | None:
    """Return the plot on two features by name, or on those that tell most."""
    names = found.table.names
    if not found.axes:
        return None
    best = [names[at] for at in found.axes] * 2
    across = across if across in names else best[0]
    up = up if up in names else next((n for n in best if n != across), best[0])
    x, y = names.index(across), names.index(up)
    ends = (_ends(found.table.rows, x), _ends(found.table.rows, y))
    places = [_place(row[x], row[y], *ends) for row in found.table.rows]
    samples = found.table.samples
    labels = sorted({one.live for one in samples if not one.is_flip})[:_COLOURS]
    agreeing = (
        _dots(
            label, at, [i for i, s in enumerate(samples) if _agrees(s, label)], places
        )
        for at, label in enumerate(labels)
    )
    flips = [i for i, one in enumerate(samples) if one.is_flip]
    return Scatter(
        across=across,
        up=up,
        names=names,
        agreeing=tuple(agreeing),
        flips=_dots("label flips", 0, flips, places),
        boxes=tuple(_boxes(found, x, y, ends)),
        x_ticks=linear_ticks(*ends[0], PLOT_WIDTH),
        y_ticks=tuple(
            Tick(PLOT_HEIGHT - tick.at, tick.text)
            for tick in linear_ticks(*ends[1], PLOT_HEIGHT)
        ),
    )


def _agrees(sample: Sample, label: str) -> bool:
    return sample.live == label and not sample.is_flip


def _ends(rows: Sequence[Sequence[float]], feature: int) -> tuple[float, float]:
    values = [row[feature] for row in rows]
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _place(
    x: float, y: float, across: tuple[float, float], up: tuple[float, float]
) -> tuple[float, float]:
    return (
        (x - across[0]) / (across[1] - across[0]) * PLOT_WIDTH,
        PLOT_HEIGHT - (y - up[0]) / (up[1] - up[0]) * PLOT_HEIGHT,
    )


def _dots(
    name: str,
    colour: int,
    members: Sequence[int],
    places: Sequence[tuple[float, float]],
) -> Dots:
    # Equal places are drawn once: measurements are often rounded.
    moves = dict.fromkeys(f"M{places[i][0]:.0f} {places[i][1]:.0f}h0" for i in members)
    return Dots(name, colour, len(members), "".join(moves))


def _boxes(
    found: Diagnosis, x: int, y: int, ends: tuple[tuple[float, float], ...]
) -> list[Box]:
    boxes = []
    for region in found.regions:
        if not {x, y} & region.limits.keys():
            continue
        (left, right), (bottom, top) = (
            (max(low, ends[at][0]), min(high, ends[at][1]))
            for at, (low, high) in enumerate(map(region.around, (x, y)))
        )
        corner = _place(left, top, *ends)
        opposite = _place(right, bottom, *ends)
        size = (opposite[0] - corner[0], opposite[1] - corner[1])
        boxes.append(Box(*corner, *size))
    return boxes
