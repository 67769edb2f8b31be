"""
Draw `docs/verdict.svg` from the functions that judge: why looking often is allowed.

Left, one run whose true share is a quarter of its limit, with the bounds of the verdict
and those of an ordinary interval. Right, how many of 300 runs whose share is the limit
have been wrongly decided by each. Run it with the path to write to; a test does so too.
"""

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

from shadow_router.verdict.sequences import share_bounds

LIMIT, ALPHA, LOOKS, RUNS = 0.01, 0.05, 5000, 300
WIDTH, HEIGHT, TOP, LEFT, RIGHT = 400, 230, 62, 56, 520
HIGHEST_SHARE, HIGHEST_WRONG = 0.03, 0.6
Bounds = tuple[float, float]

STYLE = """\
.page{fill:#fff} .ink{fill:#16202e} .soft{fill:#5b6675} .grid{stroke:#dfe4ea}
.ours{fill:#0072b2} .naive{fill:#b35c00} .oline{stroke:#0072b2} .nline{stroke:#b35c00}
.limit{stroke:#b00020;stroke-dasharray:5 4} .seen{stroke:#16202e}
polyline,line{fill:none;stroke-width:2} .grid{stroke-width:1}
.band{opacity:.22} .t{font-size:15px;font-weight:600} .s{font-size:12.5px}
@media (prefers-color-scheme:dark){
.page{fill:#0e141b} .ink{fill:#e8ecf1} .soft{fill:#9aa6b5} .grid{stroke:#2a3442}
.ours{fill:#56b4e9} .naive{fill:#e69f00} .oline{stroke:#56b4e9} .nline{stroke:#e69f00}
.limit{stroke:#ff8a9a} .seen{stroke:#e8ecf1}}"""


def sequence(count: int, trials: int) -> Bounds:
    """Return the bounds that hold at every look."""
    bounds = share_bounds(count, trials, ALPHA)
    return bounds.lower, bounds.upper


def ordinary(count: int, trials: int) -> Bounds:
    """Return Wilson's 95 % interval, which holds at one look."""
    z = 1.96
    middle = (count + z * z / 2) / (trials + z * z)
    spread = math.sqrt(count * (trials - count) / trials + z * z / 4)
    reach = z / (trials + z * z) * spread
    return middle - reach, middle + reach


def limits(bounds_of: Callable[[int, int], Bounds]) -> list[tuple[int, int]]:
    """Return for each look at or below and above which counts it decides."""
    found, most, least = [], -1, 0
    for trials in range(1, LOOKS + 1):
        # Both only rise, so each is looked for from where it was.
        while bounds_of(most + 1, trials)[1] < LIMIT:
            most += 1
        while least <= trials and bounds_of(least, trials)[0] <= LIMIT:
            least += 1
        found.append((most, least))
    return found


def decides_at(counts: list[int], deciding: list[tuple[int, int]]) -> int:
    """Return the first look that decides a run, beyond the last if none does."""
    for trials, (count, (most, least)) in enumerate(
        zip(counts, deciding, strict=True), start=1
    ):
        if count <= most or count >= least:
            return trials
    return LOOKS + 1


def a_run(rng: random.Random, share: float) -> list[int]:
    """Return how often something has happened after each trial."""
    count, counts = 0, []
    for _ in range(LOOKS):
        count += rng.random() < share
        counts.append(count)
    return counts


def across(trials: float, left: int) -> float:
    """Return where so many trials are drawn: a logarithmic axis from 10 on."""
    return left + WIDTH * math.log(max(trials, 10) / 10) / math.log(LOOKS / 10)


def up(value: float, highest: float) -> float:
    """Return where a value is drawn."""
    return TOP + HEIGHT * (1 - min(max(value, 0.0), highest) / highest)


def looks() -> list[int]:
    """Return looks that are evenly far apart on the axis."""
    steps = (10 * (LOOKS / 10) ** (k / 120) for k in range(121))
    return sorted({round(step) for step in steps})


def points(pairs: list[tuple[float, float]]) -> str:
    """Return points as SVG writes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def frame(left: int, highest: float, title: str) -> list[str]:
    """Return axes with their ticks."""
    parts = [f'<text class="ink t" x="{left}" y="30">{title}</text>']
    for trials in (10, 100, 1000, 5000):
        x = across(trials, left)
        parts.append(
            f'<text class="soft s" x="{x:.1f}" y="{TOP + HEIGHT + 20}" '
            f'text-anchor="middle">{trials:,}</text>'
        )
    for step in range(4):
        value = highest * step / 3
        y = up(value, highest)
        parts.append(
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" '
            f'y2="{y:.1f}"/><text class="soft s" x="{left - 8}" y="{y + 4:.1f}" '
            f'text-anchor="end">{value:.0%}</text>'
        )
    return parts


def one_run() -> list[str]:
    """Return the left half."""
    counts = a_run(random.Random(21), LIMIT / 4)
    parts = frame(LEFT, HIGHEST_SHARE, "One run: flips among unique inputs")
    for name, bounds_of in (("ours", sequence), ("naive", ordinary)):
        ends = [(n, bounds_of(counts[n - 1], n)) for n in looks()]
        upper = [(across(n, LEFT), up(b[1], HIGHEST_SHARE)) for n, b in ends]
        lower = [(across(n, LEFT), up(b[0], HIGHEST_SHARE)) for n, b in ends]
        outline = points(upper + lower[::-1])
        parts.append(f'<polygon class="{name} band" points="{outline}"/>')
    seen = [(across(n, LEFT), up(counts[n - 1] / n, HIGHEST_SHARE)) for n in looks()]
    parts.append(f'<polyline class="seen" points="{points(seen)}"/>')
    y = up(LIMIT, HIGHEST_SHARE)
    parts.append(
        f'<line class="limit" x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" '
        f'y2="{y:.1f}"/><text class="soft s" x="{LEFT + 6}" y="{y - 6:.1f}">'
        "limit</text>"
    )
    return parts


def many_runs() -> list[str]:
    """Return the right half."""
    rng = random.Random(18)
    runs = [a_run(rng, LIMIT) for _ in range(RUNS)]
    parts = frame(RIGHT, HIGHEST_WRONG, "300 runs at the limit: wrongly decided")
    for name, bounds_of in (("o", sequence), ("n", ordinary)):
        deciding = limits(bounds_of)
        stops = [decides_at(counts, deciding) for counts in runs]
        curve = [
            (
                across(n, RIGHT),
                up(sum(stop <= n for stop in stops) / RUNS, HIGHEST_WRONG),
            )
            for n in looks()
        ]
        parts.append(f'<polyline class="{name}line" points="{points(curve)}"/>')
    return parts


def legend() -> list[str]:
    """Return what the colours mean, and the axis."""
    bottom = TOP + HEIGHT + 46
    entries = (
        (LEFT, "ours", "bounds of the verdict, right at every look"),
        (LEFT + 300, "naive", "an ordinary 95 % interval, looked at each time"),
    )
    parts = [
        f'<rect class="{name}" x="{x}" y="{bottom - 11}" width="14" height="12"/>'
        f'<text class="ink s" x="{x + 22}" y="{bottom}">{text}</text>'
        for x, name, text in entries
    ]
    parts.append(
        f'<text class="soft s" x="{RIGHT + WIDTH}" y="{bottom}" text-anchor="end">'
        "unique inputs seen</text>"
    )
    return parts


def picture() -> str:
    """Return the picture."""
    inside = [*one_run(), *many_runs(), *legend()]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 950 356" role="img" '
            'aria-labelledby="title text" font-family="system-ui, sans-serif">',
            '<title id="title">Why looking often is allowed</title>',
            '<desc id="text">Left: in one run the bounds of the verdict are wider than '
            "an ordinary interval and fall below the limit later. Right: of 300 runs "
            "whose truth is the limit, the ordinary interval wrongly decides more and "
            "more, the verdict stays under 5 percent.</desc>",
            f"<style>{STYLE}</style>",
            '<rect class="page" width="950" height="356"/>',
            *inside,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
