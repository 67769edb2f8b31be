"""How far live's traffic has moved: the measures, and when they alarm."""

import re
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_metrics import ALIKE, EDGES, MOVED, TABLE, exposition, times

from shadow_router.watch.drift import (
    LEAST_ROWS,
    LIMITS,
    compare,
    drift_between,
    merge_cells,
)
from shadow_router.watch.exposition import Reference, Sample, parse_sample

ALERTS = Path(__file__).parents[3] / "docker/prometheus/rules/alerts.yml"


def sample(counts=ALIKE, at=0.0, **changes):
    """Return what was said at a moment by a live of one feature."""
    return parse_sample(exposition({"length": (EDGES, counts, TABLE)}, **changes), at)


def drift_of(*samples):
    found = drift_between(samples)
    return {one.reference.name or one.reference.kind: one for one in found.comparisons}


def test_distances_are_those_of_iris_model_on_the_same_cells():
    # `iris_model.drift.measure_numbers` and `measure_labels` say so of these counts.
    axis = Reference("feature", "x", tuple("abcdef"), (*(n / 150 for n in TABLE), 0.0))
    found = compare(axis, (0, 80, 320, 600, 400, 100), 150)
    assert (found.rows, found.psi, found.js, found.ks) == pytest.approx(
        (1500, 0.7738794471116879, 0.36322057239316796, 0.4), rel=1e-9
    )
    mix = Reference("labels", "", ("a", "b", "c"), (50 / 150, 49 / 150, 51 / 150))
    found = compare(mix, (100, 300, 600), 150)
    assert (found.rows, found.psi, found.js) == pytest.approx(
        (1000, 0.4292467024026167, 0.2724558713808704), rel=1e-9
    )
    assert found.ks is None
    assert found.moved == pytest.approx(1 / 3 - 0.1 + 49 / 150 - 0.3)


def test_distances_are_those_of_numpy_when_cells_hold_a_tenth_each():
    table, live = np.array([20, 30, 50, 30, 20]), np.array([300, 100, 100, 250, 250])
    cells = Reference("feature", "x", tuple("abcde"), tuple(table / 150))
    found = compare(cells, live.tolist(), 150)
    # The table as if it had live's 1,000 rows.
    expected, seen = (table / 0.15 + 0.5) / 1002.5, (live + 0.5) / 1002.5
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


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any),
    st.integers(1, 50),
    st.booleans(),
)
def test_table_is_at_no_distance_from_itself_however_often_it_is_sent(
    table, times, is_mix
):
    rows = sum(table)
    kind = "labels" if is_mix else "feature"
    shares = tuple(n / rows for n in table)
    reference = Reference(kind, "x", tuple(map(str, range(len(table)))), shares)
    found = compare(reference, [n * times for n in table], rows)
    assert (found.psi, found.js, found.moved) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["feature", "confidence"])
def test_cells_hold_a_quarter_of_the_table_when_inputs_are_withheld(kind):
    shares = (0.1, 0.1, 0.1, 0.2, 0.0, 0.3, 0.2)
    reference = Reference(kind, "x", tuple("1234567"), shares)
    before, after = (
        Sample(at, 1.0, 100.0, (reference,), (array("d", counts),))
        for at, counts in ((0.0, [0] * 7), (1.0, [1, 0, 2, 0, 5, 0, 7]))
    )
    (found,) = drift_between([before, after], tells_little=True).comparisons
    assert found.reference.cells == ("3", "7")
    assert found.reference.shares == pytest.approx((0.3, 0.7))
    assert found.shares == pytest.approx((3 / 15, 12 / 15))
    (whole,) = drift_between([before, after]).comparisons
    assert len(whole.shares) == 7
