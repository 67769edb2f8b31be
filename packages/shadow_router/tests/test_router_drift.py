"""What live's metrics tell of drift: read with care, measured, and never more."""

import asyncio
import contextlib
import json
import re
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from router_fakes import METRICS, FakeServer, answer_bytes
from router_metrics import CountingLive, exposition
from router_system import post_many, refused_url, wait_until

from shadow_router import drift_watch
from shadow_router.drift import (
    LEAST_ROWS,
    LIMITS,
    compare,
    drift_between,
    merge_cells,
)
from shadow_router.drift_panel import SHOWN, drift_panel
from shadow_router.drift_watch import DriftWatch
from shadow_router.exposition import (
    MOST_CELLS,
    MOST_FEATURES,
    Reference,
    parse_sample,
)
from shadow_router.http_client import HttpClient, parse_origin
from shadow_router.page import _environment

ALERTS = Path(__file__).parents[3] / "docker/prometheus/rules/alerts.yml"
HOSTILE = "</p><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"
EDGES = (1.0, 2.0, 3.0, 4.0, 5.0)
TABLE = (8, 32, 60, 40, 10)
# As many in each cell as the table says, and none above the last edge.
ALIKE = (80, 320, 600, 400, 100, 0)
MOVED = (0, 80, 320, 600, 400, 100)


def sample(counts=ALIKE, at=0.0, **changes):
    """Return what was said at a moment by a live of one feature."""
    return parse_sample(exposition({"length": (EDGES, counts, TABLE)}, **changes), at)


def drift_of(*samples):
    found = drift_between(samples)
    return {one.reference.name or one.reference.kind: one for one in found.comparisons}


def times(counts, factor):
    return tuple(factor * n for n in counts)


# ---- reading ----------------------------------------------------------------


def test_cells_are_those_between_the_edges_that_both_have():
    (found,) = sample().references
    assert (found.kind, found.name) == ("feature", "length")
    assert found.cells == ("1", "2", "3", "4", "5", "+Inf")
    assert found.shares == pytest.approx([n / 150 for n in (*TABLE, 0)])
    assert list(sample().counts[0]) == list(ALIKE)
    assert (sample().table_rows, sample().process) == (150, 1.5)


def test_labels_are_added_up_when_live_splits_them_further():
    text = exposition(labels={"a": (10, 100), "b": (20, 50)}).decode()
    text += 'model_predictions_total{model_version="2",label="a"} 5\n'
    found = parse_sample(text.encode(), 0.0)
    assert found.references[0].cells == ("a", "b")
    assert list(found.counts[0]) == [15, 20]


def test_names_are_what_they_were_before_they_were_written():
    for name in (HOSTILE, "back\\slash", "höhe m", "a}b", "two\nlines"):
        (found,) = parse_sample(
            exposition({name: (EDGES, ALIKE, TABLE)}), 0.0
        ).references
        assert found.name == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\xff" * 1000,
        b"<html>" + b"x" * 10_000_000,
        b"process_start_time_seconds 1\nmodel_reference_rows 150\n",
        exposition({"x": (EDGES, ALIKE, TABLE)}, rows=0),
        exposition({"x": (EDGES, ALIKE, TABLE)}, rows="NaN"),
        exposition({"x": (EDGES, ALIKE, TABLE)}, rows="1e300"),
        exposition({"x": (EDGES, ALIKE, TABLE)}) + b"model_reference_rows{ 3",
        exposition({"x": (EDGES, ALIKE, TABLE)})
        + b'model_reference_rows{a="b", ="c"} 3',
        exposition({"x": (EDGES, ALIKE, TABLE)})
        + b"model_reference_rows "
        + b"9" * 900,
        exposition({"x": (("a", *EDGES[1:]), ALIKE, TABLE)}),
    ],
    ids=range(11),
)
def test_nothing_is_read_when_the_metrics_are_no_metrics(body):
    assert parse_sample(body, 0.0) is None


@pytest.mark.parametrize(
    ("live", "table"),
    [
        ((1, 2, -3, 4, 5, 0), TABLE),
        ((1, 2, float("nan"), 4, 5, 0), TABLE),
        ((1, 2, float("inf"), 4, 5, 0), TABLE),
        ((1, 2, 1e300, 4, 5, 0), TABLE),
        (ALIKE, (-8, 32, 60, 40, 10)),
        (ALIKE, (8, 32, float("nan"), 40, 10)),
        (ALIKE, (8, 32, 60, 60, -10)),
    ],
)
def test_what_makes_no_sense_is_left_out_and_the_rest_is_read(live, table):
    features = {"bad": (EDGES, live, table), "good": (EDGES, ALIKE, TABLE)}
    found = parse_sample(exposition(features), 0.0)
    assert [one.name for one in found.references] == ["good"]


def test_shares_that_add_up_to_a_little_more_than_one_are_shares():
    text = exposition({"x": (EDGES, ALIKE, TABLE)}).decode()
    more = text.replace('le="5.0"} 1.0', 'le="5.0"} 1.0000000000000002')
    assert more != text
    (found,) = parse_sample(more.encode(), 0.0).references
    assert sum(found.shares) == pytest.approx(1)
    far = text.replace('le="5.0"} 1.0', 'le="5.0"} 1.1')
    assert parse_sample(far.encode(), 0.0) is None


@pytest.mark.parametrize("table", [{"a": 75, "b": 60}, {"a": -75, "b": 225}])
def test_labels_are_left_out_when_their_shares_are_none(table):
    labels = {name: (5, n) for name, n in table.items()}
    found = parse_sample(exposition({"x": (EDGES, ALIKE, TABLE)}, labels), 0.0)
    assert [one.kind for one in found.references] == ["feature"]


def test_what_is_kept_is_bounded_when_names_and_cells_have_no_end():
    cells = tuple(range(MOST_CELLS))
    many = {f"x{n}": (EDGES, ALIKE, TABLE) for n in range(2 * MOST_FEATURES)}
    many |= {"wide": (cells, (1,) * (len(cells) + 1), (1,) * len(cells))}
    many |= {"x" * 2000: (EDGES, ALIKE, TABLE)}
    labels = {f"l{n}": (1, 1) for n in range(MOST_CELLS + 1)}
    found = parse_sample(exposition(many, labels, rows=MOST_CELLS + 1), 0.0)
    assert len(found.references) == MOST_FEATURES
    assert {one.kind for one in found.references} == {"feature"}


def test_reading_is_over_soon_when_every_line_is_hostile():
    line = b'model_feature_value_bucket{feature="' + b'\\"' * 450 + b'",le="1"} 1\n'
    began = time.process_time()
    parse_sample(line * (512 * 1024 // len(line)), 0.0)
    assert time.process_time() - began < 5


# ---- measuring --------------------------------------------------------------


def test_distances_are_those_of_iris_model_on_the_same_cells():
    # `iris_model.drift.measure_numbers` and `measure_labels` say so of these counts.
    axis = Reference("feature", "x", tuple("abcdef"), (*(n / 150 for n in TABLE), 0.0))
    found = compare(axis, (0, 80, 320, 600, 400, 100), 150)
    assert (found.rows, found.psi, found.js, found.ks) == pytest.approx(
        (1500, 0.774657939707085, 0.36336491642651014, 0.4), rel=1e-9
    )
    mix = Reference("labels", "", ("a", "b", "c"), (50 / 150, 49 / 150, 51 / 150))
    found = compare(mix, (100, 300, 600), 150)
    assert (found.rows, found.psi, found.js) == pytest.approx(
        (1000, 0.42933061446580756, 0.27248294477521734), rel=1e-9
    )
    assert found.ks is None
    assert found.moved == pytest.approx(1 / 3 - 0.1 + 49 / 150 - 0.3)


def test_distances_are_those_of_numpy_when_cells_hold_a_tenth_each():
    table, live = np.array([20, 30, 50, 30, 20]), np.array([300, 100, 100, 250, 250])
    cells = Reference("feature", "x", tuple("abcde"), tuple(table / 150))
    found = compare(cells, live.tolist(), 150)
    expected, seen = (table + 0.5) / 152.5, (live + 0.5) / 1002.5
    middle = (expected + seen) / 2
    assert found.psi == pytest.approx(
        ((seen - expected) * np.log(seen / expected)).sum()
    )
    bits = (expected * np.log2(expected / middle) + seen * np.log2(seen / middle)).sum()
    assert found.js == pytest.approx(np.sqrt(bits / 2))
    apart = np.abs(table.cumsum() / 150 - live.cumsum() / 1000)
    assert found.ks == pytest.approx(apart.max())


def test_cells_are_merged_to_a_tenth_of_the_table():
    assert merge_cells([2] * 100) == list(range(0, 100, 10))
    assert merge_cells([91, 1, 1, 7]) == [0]
    assert merge_cells([60, 20, 1, 19]) == [0, 1, 2]


def test_feature_alarms_when_it_is_shifted_and_no_other_does():
    features = {"moved": (EDGES, MOVED, TABLE), "still": (EDGES, ALIKE, TABLE)}
    labels = {"a": (900, 75), "b": (600, 75)}
    sure = ((0.5, 0.9, 1.0), (100, 500, 900, 0), (10, 50, 90))
    nothing = {name: (EDGES, times(ALIKE, 0), TABLE) for name in features}
    before = parse_sample(
        exposition(nothing, {"a": (0, 75), "b": (0, 75)}, (sure[0], (0,) * 4, sure[2])),
        0.0,
    )
    after = parse_sample(exposition(features, labels, sure), 20.0)
    found = drift_of(before, after)
    assert {name: one.state for name, one in found.items()} == {
        "moved": "alarm",
        "still": "no alarm",
        "labels": "no alarm",
        "confidence": "no alarm",
    }
    assert found["moved"].ks == pytest.approx(0.4)
    assert found["still"].ks == pytest.approx(0)
    assert found["labels"].moved == pytest.approx(0.1)
    assert found["still"].rows == found["confidence"].rows == 1500


def test_labels_alarm_when_a_class_is_gone():
    before, after = (
        parse_sample(exposition(labels={"a": (n, 75), "b": (0, 75)}), at)
        for n, at in ((0, 0.0), (1000, 20.0))
    )
    assert drift_of(before, after)["labels"].state == "alarm"


@pytest.mark.parametrize("counts", [MOVED, ALIKE])
def test_nothing_is_said_when_there_are_too_few_rows(counts):
    few = tuple(n * 0.6 for n in counts)
    found = drift_of(sample(times(counts, 0)), sample(few, 20.0))
    assert (found["length"].rows, found["length"].state) == (900, "too few rows")
    found = drift_of(sample())
    assert (found["length"].rows, found["length"].psi, found["length"].moved) == (
        0,
        0.0,
        0.0,
    )


def test_what_came_before_the_hour_is_not_in_it():
    found = drift_of(sample(ALIKE), sample(np.add(ALIKE, MOVED), 20.0))
    assert found["length"].rows == 1500
    assert found["length"].shares == pytest.approx(np.divide(MOVED, 1500))


def test_counts_that_begin_anew_are_no_negative_rows():
    # Without the start of the process nobody says that it is another.
    counts = [times(ALIKE, 2), times(ALIKE, 1), times(ALIKE, 3)]
    samples = [sample(one, 20.0 * at, started=0) for at, one in enumerate(counts)]
    assert drift_of(*samples)["length"].rows == 3000


def test_another_replica_that_answers_adds_its_own_rows_alone():
    # The other has answered a hundred times as much since it began.
    said = [(1, 7.0), (100, 8.0), (2, 7.0), (101, 8.0), (3, 7.0)]
    samples = [
        sample(times(ALIKE, n), 20.0 * at, started=began)
        for at, (n, began) in enumerate(said)
    ]
    assert drift_of(*samples)["length"].rows == 3 * 1500


def test_another_model_begins_anew():
    other = {"length": (EDGES, times(ALIKE, 9), (30,) * 5)}
    samples = [sample(), sample(times(ALIKE, 2), 20.0)]
    samples.append(parse_sample(exposition(other), 40.0))
    assert drift_of(*samples)["length"].rows == 0
    samples.append(sample(times(ALIKE, 4), 60.0))
    assert drift_of(*samples)["length"].rows == 3 * 1500


def test_limits_are_those_of_the_alerts():
    text = ALERTS.read_text()
    asked = dict(re.findall(r"alert: (\w+)\n +expr: (.+)\n", text))
    limit, rows = re.search(
        r"ks6h.* > (\S+) and .*increase6h.* >= (\d+)", asked["FeatureDrift"]
    ).groups()
    assert LIMITS["feature"] == LIMITS["confidence"] == float(limit)
    assert LEAST_ROWS == int(rows)
    limit, rows = re.search(
        r"class_mix_distance:ratio1h.*? > (\S+) and .* and .*1d_offset1h.*? >= (\d+)",
        asked["ClassMixChanged"],
    ).groups()
    assert LIMITS["labels"] == float(limit)
    # Of the larger of its two samples.
    assert LEAST_ROWS == int(rows)


def alarms_in_a_thousand(kind, world, table_rows, rows=LEAST_ROWS):
    """Return how often what is drawn from one world alarms."""
    chance = np.random.default_rng(1936)
    cells = tuple(map(str, range(len(world))))
    alarms = 0
    for _ in range(1000):
        table = chance.multinomial(table_rows, world)
        live = chance.multinomial(rows, world)
        reference = Reference(kind, "x", cells, tuple((table / table_rows).tolist()))
        found = compare(reference, live.tolist(), table_rows)
        alarms += found.moved > found.limit
        # What is not sure is not said.
        is_sure = rows >= LEAST_ROWS and table_rows >= 100
        assert is_sure or found.state == "too few rows"
    return alarms


@pytest.mark.parametrize(
    ("kind", "world", "table_rows"),
    [
        ("feature", (0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05), 150),
        ("feature", (0.5, 0.5), 100),
        ("confidence", (0.02, 0.03, 0.05, 0.1, 0.3, 0.5), 150),
        ("labels", (0.5, 0.5), 100),
        ("labels", (1 / 3, 1 / 3, 1 / 3), 150),
        ("labels", (0.1,) * 10, 150),
        ("labels", (1 / 30,) * 30, 450),
    ],
)
def test_alarms_are_at_most_three_in_a_thousand_when_nothing_moves(
    kind, world, table_rows
):
    assert alarms_in_a_thousand(kind, world, table_rows) <= 3


def test_alarms_would_be_more_with_fewer_rows_than_are_asked_for():
    assert alarms_in_a_thousand("labels", (0.1,) * 10, 150, rows=200) > 10
    assert alarms_in_a_thousand("labels", (0.5, 0.5), 20) > 10
    assert alarms_in_a_thousand("feature", (0.5, 0.5), 20) > 10


def test_mix_of_classes_is_not_judged_when_the_table_has_few_rows_of_each():
    cells = tuple(map(str, range(11)))
    reference = Reference("labels", "", cells, (1.0, *[0.0] * 10))
    counts = (*[0] * 10, 1000)
    assert compare(reference, counts, 150).state == "too few rows"
    assert compare(reference, counts, 165).state == "alarm"


def test_mix_of_many_classes_takes_as_many_rows_of_each_of_live_too():
    cells = tuple(map(str, range(100)))
    reference = Reference("labels", "", cells, (1.0, *[0.0] * 99))
    few, enough = (compare(reference, (*[0] * 99, n), 1500) for n in (1499, 1500))
    assert (few.state, enough.state) == ("too few rows", "alarm")
    assert enough.least_rows == 1500


# ---- asking -----------------------------------------------------------------


def watched(url, until, monkeypatch, within_s=5.0):
    """Return the drift after live was asked again and again, as soon as it is so."""
    monkeypatch.setattr(drift_watch, "STEP_S", 0.01)

    async def watch():
        watching = DriftWatch(HttpClient(parse_origin(url)))
        task = asyncio.create_task(watching.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not until(watching.drift):
                    await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        watching.close()
        # The server sees the end before it is stopped itself.
        await asyncio.sleep(0.05)
        return watching.drift

    return asyncio.run(watch())


def showing(write):
    """Return a live whose metrics are what `write` writes."""

    async def script(arrived, writer):
        assert arrived.target == METRICS
        return await write(writer)

    return FakeServer(script, shows=(METRICS,))


def test_live_is_asked_as_little_as_can_be(monkeypatch):
    async def answer(writer):
        writer.write(answer_bytes(exposition({"x": (EDGES, ALIKE, TABLE)})))
        return True

    with showing(answer) as live:
        found = watched(live.url, lambda drift: drift is not None, monkeypatch)
        assert found.table_rows == 150
        asked = live.arrived[0]
    assert (asked.method, asked.body) == ("GET", b"")
    assert [name for name, _ in asked.pairs] == ["host", "accept"]


async def write_endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"model_reference_rows 150\n" * 1000)
        await writer.drain()


async def write_large(writer):
    text = exposition({"x": (EDGES, ALIKE, TABLE)})
    writer.write(answer_bytes(text + b"# " + b"x" * 10_000_000))
    return True


async def write_forbidden(writer):
    text = exposition({"x": (EDGES, ALIKE, TABLE)})
    writer.write(answer_bytes(text, status="401 Unauthorized"))
    return True


async def write_cut(writer):
    writer.write(answer_bytes(exposition({"x": (EDGES, ALIKE, TABLE)}))[:-10])
    return False


async def write_nothing(writer):
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    "write", [write_endless, write_large, write_forbidden, write_cut, write_nothing]
)
@pytest.mark.slow
def test_live_that_shows_no_metrics_is_no_fault(monkeypatch, write):
    monkeypatch.setattr(drift_watch, "_DEADLINE_S", 0.2)
    with showing(write) as live:
        enough = lambda _: len(live.arrived) >= 3  # noqa: E731
        assert watched(live.url, enough, monkeypatch) is None
        assert len(live.arrived) >= 3


def test_live_that_is_away_is_no_fault(monkeypatch):
    assert watched(refused_url(), lambda _: False, monkeypatch, 0.1) is None


def test_live_is_asked_once_at_a_time(monkeypatch):
    open_now, most = [], []

    async def answer_late(writer):
        open_now.append(writer)
        most.append(len(open_now))
        await asyncio.sleep(0.05)
        open_now.remove(writer)
        writer.write(answer_bytes(b""))
        return True

    with showing(answer_late) as live:
        watched(live.url, lambda _: len(most) >= 4, monkeypatch)
    assert len(most) >= 4 and max(most) == 1


def test_what_is_older_than_an_hour_goes(monkeypatch):
    watch = DriftWatch(HttpClient(parse_origin("http://127.0.0.1:1")))
    body = exposition({"length": (EDGES, ALIKE, TABLE)})
    assert watch._take(body, 1000.0).begin == 1000.0
    more = exposition({"length": (EDGES, times(ALIKE, 2), TABLE)})
    assert watch._take(more, 4000.0).comparisons[0].rows == 1500
    assert watch._take(b"", 4500.0).comparisons[0].rows == 1500
    found = watch._take(b"", 4700.0)
    assert (found.begin, found.comparisons[0].rows) == (4000.0, 0)
    assert watch._take(b"", 7700.0) is None


# ---- drawing ----------------------------------------------------------------


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


# ---- the whole --------------------------------------------------------------


@pytest.mark.slow
def test_page_and_json_tell_the_drift_of_a_live_that_shows_metrics(shadow, start):
    features = {"length": (EDGES, ALIKE, TABLE), HOSTILE: (EDGES, MOVED, TABLE)}
    labels = {"setosa": (700, 50), "versicolor": (800, 100)}
    sure = ((0.5, 0.9, 1.0), (100, 500, 900, 0), (10, 50, 90))
    with CountingLive(features, labels, sure) as live:
        system = start(live.url, shadow.url)
        wait_until(lambda: system.report()["drift"], what="the first answer")
        post_many(system, 2)
        # Neither a client's request nor the shadow's.
        assert system.settled_fates() == {"match": 2}
        assert METRICS not in {one.target for one in shadow.arrived}

        def counted():
            drift = system.report()["drift"]
            return drift if drift["comparisons"][0]["rows"] else None

        drift = wait_until(counted, 60, "the second answer")
        found = {one["name"] or one["kind"]: one for one in drift["comparisons"]}
        assert {name: one["rows"] for name, one in found.items()} == {
            "length": 3000,
            HOSTILE: 3000,
            "labels": 3000,
            "confidence": 3000,
        }
        assert [one["state"] for one in found.values()] == [
            "no alarm",
            "alarm",
            "no alarm",
            "no alarm",
        ]
        assert found["labels"]["moved"] == pytest.approx(700 / 1500 - 1 / 3)
        page = system.private_get("/")[1]
        assert "4 comparisons, each with a chance to be wrong, and 1 alarm." in page
        assert "Drift never gates a promotion" in page
        assert "<img" not in page
        # The verdict knows nothing of it, and neither does a file.
        said = json.loads(system.run("verdict", "--json").stdout)
        assert "drift" not in said
