"""Drift as it is drawn and told."""

from itertools import pairwise

import pytest
from router_metrics import ALIKE, EDGES, HOSTILE, MOVED, TABLE, exposition, times

from shadow_router.page.drift_panel import SHOWN, drift_panel
from shadow_router.page.page import _environment
from shadow_router.watch.drift import drift_between
from shadow_router.watch.exposition import parse_sample


def panel_of(counts, features=1):
    names = [f"x{n}" for n in range(features)]
    before, after = (
        parse_sample(exposition({n: (EDGES, one, TABLE) for n in names}), at)
        for one, at in ((times(counts, 0), 0.0), (counts, 600.0))
    )
    return drift_panel(drift_between([before, after]))


def test_panel_says_of_how_much_it_speaks():
    assert panel_of(ALIKE).said == (
        "1,500 rows that live answered in 10 min, against 150 of the training "
        "table: 1 comparison, each with a chance to be wrong, and no alarms"
    )
    assert "6 comparisons, each" in panel_of(MOVED, 6).said
    assert panel_of(MOVED, 6).said.endswith("and 6 alarms")
    assert drift_panel(None) is None


def test_bars_are_live_s_and_the_outline_is_the_table_s():
    (row,) = panel_of(MOVED).rows
    heights = [bar.height for bar in row.bars]
    # The highest of both fills the drawing: 60 of 150, and 600 of 1,500.
    assert heights == pytest.approx([0, 80 / 15, 320 / 15, 40, 400 / 15, 100 / 15])
    points = [tuple(map(float, one.split(","))) for one in row.outline.split()]
    assert min(y for _, y in points) == 0
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    assert row.below == ("≤ 1", "> 5")
    assert row.bars[1].said == "1 to 2: 5.3% of live's rows, 21.3% of the table's"
    assert (row.name, row.comparison.state, row.tone) == ("x0", "alarm", "fail")


def test_cells_that_hold_nothing_are_not_drawn_at_the_ends():
    (row,) = panel_of(ALIKE).rows
    assert len(row.bars) == 5
    assert row.below == ("≤ 1", "4 to 5")


def test_alarms_come_first_and_what_is_much_is_folded():
    panel = panel_of(ALIKE, SHOWN + 3)
    assert (len(panel.rows), len(panel.more)) == (SHOWN, 3)
    features = {"still": (EDGES, ALIKE, TABLE), "moved": (EDGES, MOVED, TABLE)}
    nothing = {name: (EDGES, times(ALIKE, 0), TABLE) for name in features}
    samples = [parse_sample(exposition(one), 0.0) for one in (nothing, features)]
    rows = drift_panel(drift_between(samples)).rows
    assert [one.name for one in rows] == ["moved", "still"]


def test_names_of_strangers_are_text_on_the_page():
    labels = {HOSTILE: (500, 75), "b": (500, 75)}
    samples = [
        parse_sample(exposition({HOSTILE: (EDGES, ALIKE, TABLE)}, one), 0.0)
        for one in ({name: (0, 75) for name in labels}, labels)
    ]
    panel = drift_panel(drift_between(samples))
    template = _environment().get_template("drift.html")
    html = template.render(drift=panel, is_file=False)
    assert "<img" not in html and "{{ 7*7 }}" in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    assert template.render(drift=panel, is_file=True).strip() == ""
    assert "Live shows no metrics" in template.render(drift=None, is_file=False)
