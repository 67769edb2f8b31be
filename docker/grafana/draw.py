"""
Draw the dashboards from a Prometheus server: the same panels, from the same queries.

    python docker/grafana/draw.py http://127.0.0.1:9090 FOLDER [--minutes 60]

Not Grafana's own pictures: for documents, and for machines that have no Grafana.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

FOLDER = Path(__file__).with_name("dashboards")
INK, SOFT, LINE, PAPER = "#1d2129", "#6b7280", "#e5e7eb", "#f6f7f9"
BAD, GOOD = "#c0362c", "#1a7f4e"
COLOURS = ["#2b5fd9", "#d9822b", "#2f9e6e", "#9256c9", "#c2417c", "#5b7083", "#a88b1c"]
COLUMNS, ROW_INCHES = 24, 0.36
POINTS = 240


@dataclass(frozen=True)
class Line:
    """One series: what it is called, when, and what."""

    name: str
    times: list[datetime]
    values: list[float]


def read_lines(url: str, target: dict[str, Any], minutes: float) -> list[Line]:
    """Return what a query of a panel gives over the last minutes."""
    now = time.time()
    fields = {
        "query": target["expr"],
        "start": now - 60 * minutes,
        "end": now,
        "step": max(60 * minutes / POINTS, 1),
    }
    asked = f"{url}/api/v1/query_range?{urllib.parse.urlencode(fields)}"
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    lines = []
    for series in found:
        name = fill(target["legendFormat"], series["metric"])
        pairs = [(at, float(text)) for at, text in series["values"]]
        known = [(at, value) for at, value in pairs if math.isfinite(value)]
        if known:
            times = [datetime.fromtimestamp(at) for at, _ in known]
            lines.append(Line(name, times, [value for _, value in known]))
    return lines


def fill(legend: str, labels: dict[str, str]) -> str:
    """Return a legend with the values of labels in the place of their names."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def shown(value: float, unit: str) -> str:
    """Return a value in its unit, short."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return f"{1000 * value:.3g} ms"
    if unit == "bytes":
        return f"{value / 1e6:.3g} MB" if value >= 1e5 else f"{value / 1e3:.3g} kB"
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def draw(document: dict[str, Any], url: str, minutes: float, path: Path) -> None:
    """Draw one dashboard into a file."""
    panels = document["panels"]
    last = panels[-1]["gridPos"]
    rows = last["y"] + last["h"]
    figure = Figure(figsize=(13, rows * ROW_INCHES + 0.7), facecolor=PAPER)
    height = figure.get_figheight()
    figure.text(
        0.02, 1 - 0.42 / height, document["title"], size=19, weight="bold", color=INK
    )
    for panel in panels:
        axes = figure.add_axes(box(panel["gridPos"], height))
        lines = [
            line
            for target in panel["targets"]
            for line in read_lines(url, target, minutes)
        ]
        draw_panel(axes, panel, lines)
    figure.savefig(path, dpi=100, facecolor=PAPER)


def box(place: dict[str, int], height: float) -> tuple[float, float, float, float]:
    """Return where a panel is in its figure, its margins left out."""
    left, width = place["x"] / COLUMNS, place["w"] / COLUMNS
    top = 1 - (0.7 + place["y"] * ROW_INCHES) / height
    tall = place["h"] * ROW_INCHES / height
    side = 0.012
    return left + side, top - tall + 0.1 / height, width - 2 * side, tall - 0.2 / height


def draw_panel(card: Axes, panel: dict[str, Any], lines: Sequence[Line]) -> None:
    """Draw a card with its title, and on it a number or a graph."""
    card.set(xticks=[], yticks=[], facecolor="white")
    card.spines[:].set_color(LINE)
    inches = card.get_window_extent().height / card.figure.dpi
    up = 1 - 0.27 / inches
    card.text(0.03, up, panel["title"], transform=card.transAxes, size=10, color=SOFT)
    if not lines:
        card.text(0.5, 0.4, "no data", ha="center", size=11, color=SOFT)
    elif panel["type"] == "stat":
        draw_number(card, panel, lines)
    else:
        draw_graph(card, panel, lines, inches)


def limit_of(panel: dict[str, Any]) -> float | None:
    """Return where an alert begins, None where no alert asks for the panel."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return steps[1]["value"] if len(steps) > 1 else None


def draw_number(card: Axes, panel: dict[str, Any], lines: Sequence[Line]) -> None:
    """Write the last value of each series, or its name where that is the answer."""
    unit, limit = panel["fieldConfig"]["defaults"]["unit"], limit_of(panel)
    newest = max(line.times[-1] for line in lines)
    current = [line for line in lines if line.times[-1] == newest]
    by_name = panel["options"]["textMode"] == "name"
    size = 19 if len(current) == 1 else 13
    for number, line in enumerate(current):
        value = line.values[-1]
        colour = INK if limit is None else BAD if value > limit else GOOD
        part = (number + 0.5) / len(current)
        # Names one below the other, values side by side with their names below.
        at = (0.5, 0.72 * (1 - part)) if by_name else (part, 0.36)
        text = line.name if by_name else shown(value, unit)
        card.text(*at, text, ha="center", size=size, weight="bold", color=colour)
        if not by_name and len(current) > 1:
            card.text(part, 0.14, line.name, ha="center", size=8, color=SOFT)


def draw_graph(
    card: Axes, panel: dict[str, Any], lines: Sequence[Line], inches: float
) -> None:
    """Draw the series over time, and the limit where it is near."""
    unit, limit = panel["fieldConfig"]["defaults"]["unit"], limit_of(panel)
    columns = min(len(lines), 3)
    foot = (0.5 + 0.2 * math.ceil(len(lines) / columns)) / inches
    graph = card.inset_axes((0.12, foot, 0.84, 1 - foot - 0.42 / inches))
    for at, line in enumerate(lines):
        colour = COLOURS[at % len(COLOURS)]
        # Its stubs know numbers alone.
        times: Any = line.times
        graph.plot(times, line.values, color=colour, lw=1.6, label=line.name)
    most = max(max(line.values) for line in lines)
    top = 1.15 * (most or limit or 1.0)
    if limit is not None and not 0 < most < limit / 4:
        top = max(top, 1.15 * limit)
        graph.axhline(limit, color=BAD, lw=1, ls=(0, (4, 3)))
    graph.set_ylim(0, top)
    graph.yaxis.set_major_formatter(FuncFormatter(lambda v, _: shown(v, unit)))
    graph.yaxis.set_major_locator(MaxNLocator(4))
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    graph.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator, show_offset=False
    )
    graph.xaxis.set_major_formatter(formatter)
    graph.tick_params(labelsize=8, colors=SOFT, length=0)
    graph.grid(color=LINE, lw=0.8)
    graph.spines[:].set_visible(False)
    graph.margins(x=0)
    graph.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.14),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=SOFT,
        handlelength=1.2,
        columnspacing=1.2,
    )


def main() -> None:
    """Draw every dashboard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("url", help="of Prometheus")
    parser.add_argument("folder", type=Path, help="for one PNG a dashboard")
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(FOLDER.glob("*.json")):
        document = json.loads(source.read_text())
        path = options.folder / f"dashboard-{source.stem}.png"
        draw(document, options.url.rstrip("/"), options.minutes, path)
        print(path)


if __name__ == "__main__":
    main()
