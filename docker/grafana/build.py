"""
Write the dashboards that Grafana is provisioned with, from `panels.py`.

    python docker/grafana/build.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panels import DASHBOARDS, Panel

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT = 24, 8


def dashboard(name: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    return {
        "uid": f"iris-{name}",
        "title": name.capitalize(),
        "tags": ["iris"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "panels": place(panels),
        "links": [
            {
                "type": "dashboards",
                "tags": ["iris"],
                "title": "Dashboards",
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
            }
        ],
    }


def place(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Return the panels as Grafana reads them, from left to right, then below."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        height = HEIGHT // 2 if panel.is_number else HEIGHT
        where = {"x": x, "y": y, "w": panel.width, "h": height}
        placed.append(describe(number, panel) | {"gridPos": where})
        # Widths add up to whole rows.
        x = (x + panel.width) % WIDTH
        y += 0 if x else height
    return placed


def describe(number: int, panel: Panel) -> dict[str, Any]:
    """Return one panel as Grafana reads it, but for its place."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    shown = "area" if panel.limit is not None else "off"
    return {
        "id": number,
        "title": panel.title,
        "type": "stat" if panel.is_number else "timeseries",
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for at, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": shown}},
            },
            "overrides": [],
        },
        "options": (
            {"textMode": "name" if panel.states else "auto"}
            if panel.is_number
            else {"legend": {"displayMode": "list", "placement": "bottom"}}
        ),
    }


def write(folder: Path) -> None:
    """Write every dashboard into a folder."""
    for name, panels in DASHBOARDS.items():
        text = json.dumps(dashboard(name, panels), indent=2)
        (folder / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    write(FOLDER)
