"""Every query of every dashboard, asked of a real Prometheus of the real system."""

import json
from pathlib import Path

import build
import draw
import pytest
from panels import DASHBOARDS

from conftest import Watched

FOLDER = Path("docker/grafana/dashboards")
QUERIES = [
    (path.stem, panel["title"], target["expr"])
    for path in sorted(FOLDER.glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
]


@pytest.mark.parametrize(("name", "title", "expression"), QUERIES)
def test_panel_has_data_when_the_system_has_had_traffic(
    watched: Watched, name: str, title: str, expression: str
) -> None:
    assert watched.values(expression), f"{name}, {title}: {expression}"


def test_query_is_found_empty_when_it_asks_for_what_nobody_counts(
    watched: Watched,
) -> None:
    found = watched.ask("query", query="rate(model_predictionz_total[5m])")
    assert found["result"] == []


def test_dashboards_are_those_that_the_panels_say(tmp_path: Path) -> None:
    build.write(tmp_path)
    for path in tmp_path.iterdir():
        assert (FOLDER / path.name).read_text() == path.read_text()
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_their_rows_and_do_not_overlap(name: str) -> None:
    document = json.loads((FOLDER / f"{name}.json").read_text())
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in document["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))


def test_pictures_are_drawn_from_the_same_queries_when_asked_for(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["draw.py", watched.url, str(tmp_path), "--minutes", "2"]
    monkeypatch.setattr("sys.argv", arguments)
    draw.main()
    names = {f"dashboard-{name}.png" for name in DASHBOARDS}
    assert {path.name for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
