"""The shallow tree against scikit-learn's, and the regions and neighbours it gives."""

import json
import random

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from shadow_router.findings.diagnosis import diagnose
from shadow_router.findings.features import table_of
from shadow_router.findings.tree import grow
from shadow_router.store import Sample


def clouds(seed, n=600):
    """Rows of noise, so that no two splits are as good; most hits in one corner."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 4))
    hits = (rows[:, 1] > 0.3) & (rows[:, 2] + 0.3 * rows[:, 0] < -0.2)
    return rows, hits ^ (rng.random(n) < 0.2)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tree_puts_every_row_where_scikit_learn_does(seed, depth):
    rows, hits = clouds(seed)
    weights = np.where(
        hits, len(hits) / (2 * hits.sum()), len(hits) / (2 * (~hits).sum())
    )
    leaves = grow(rows.tolist(), hits.tolist(), weights.tolist(), depth, least=20)
    oracle = DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=20, class_weight="balanced", random_state=0
    ).fit(rows, hits)
    places = oracle.apply(rows)
    ours = {tuple(sorted(leaf.members)) for leaf in leaves}
    theirs = {tuple(np.flatnonzero(places == place)) for place in set(places)}
    assert ours == theirs


def test_conditions_of_a_leaf_hold_for_its_members_alone():
    rows, hits = clouds(1)
    leaves = grow(rows.tolist(), hits.tolist(), [1.0] * len(rows))
    assert len(leaves) > 2
    for leaf in leaves:
        inside = [
            at
            for at, row in enumerate(rows.tolist())
            if all(one.holds(row) for one in leaf.conditions)
        ]
        assert inside == list(leaf.members)


def test_tree_stays_whole_when_nothing_can_be_told_apart():
    assert [
        leaf.conditions for leaf in grow([[1.0]] * 20, [True, False] * 10, [1] * 20)
    ] == [()]


def sample(row, flips=False, margin=0.1):
    text = json.dumps(row).encode()
    return Sample(text, "a", "b" if flips else "a", margin)


def strip(n=200):
    """Inputs that flip in a strip of x alone."""
    rng = random.Random(7)
    rows = [{"x": rng.uniform(0, 10), "y": rng.uniform(0, 1)} for _ in range(n)]
    both = [sample(row, 4 < row["x"] < 5) for row in rows]
    return tuple(s for s in both if s.is_flip), tuple(s for s in both if not s.is_flip)


def test_region_is_said_in_words_when_flips_live_in_a_strip():
    flips, agreeing = strip()
    found = diagnose(flips, agreeing, len(flips), 200)
    (region,) = found.regions
    low, name, high = region.words.replace(" < ", " ").replace(" ≤ ", " ").split()
    assert name == "x"
    assert 3.8 < float(low) < 4.1 and 4.9 < float(high) < 5.2
    assert region.covers == 1.0 and region.rate == 1.0
    assert found.axes == (0, 1)


def test_rate_of_a_region_is_that_of_all_inputs_when_flips_are_sampled_more_densely():
    flips, agreeing = strip()
    found = diagnose(flips, agreeing[:60], len(flips), 200)
    assert found.regions[0].rate == pytest.approx(1.0, abs=0.2)
    far = diagnose(flips, agreeing, len(flips), 20_000)
    assert far.regions[0].rate == 1.0


def test_nearest_agreeing_input_is_found_by_scaled_distance():
    flips = (sample({"x": 5.0, "wide": 100.0}, True),)
    agreeing = (
        sample({"x": 5.5, "wide": 100.0}),
        sample({"x": 5.0, "wide": 400.0}),
        sample({"x": 9.0, "wide": 900.0}),
    )
    (one,) = diagnose(flips, agreeing, 1, 4).neighbours
    assert json.loads(one.agreeing.input) == {"x": 5.5, "wide": 100.0}
    assert one.steps == (("x", 5.0, 5.5),)


def test_features_are_read_from_objects_arrays_and_bare_numbers():
    objects = table_of([sample({"a": 1, "b": True}), sample({"b": False, "a": 2})])
    assert (objects.names, objects.rows) == (("a", "b"), ((1.0, 1.0), (2.0, 0.0)))
    arrays = table_of([sample([1, 2.5]), sample([3, 4])])
    assert (arrays.names, arrays.rows) == (("0", "1"), ((1.0, 2.5), (3.0, 4.0)))
    assert table_of([sample(7), sample(8)]).rows == ((7.0,), (8.0,))
    assert table_of([]).names == ()


def test_text_fields_become_one_feature_a_frequent_value():
    rows = [{"colour": "red", "x": 1}, {"colour": "blue", "x": 2}] * 3
    table = table_of([sample(row) for row in rows])
    assert table.names == ("colour = red", "colour = blue", "x")
    assert table.rows[:2] == ((1.0, 0.0, 1.0), (0.0, 1.0, 2.0))


def test_a_field_that_never_varies_is_no_feature():
    assert table_of([sample({"x": 1, "y": at}) for at in range(3)]).names == ("y",)


def test_inputs_without_a_feature_are_left_out():
    rows = [{"x": 1, "rare": 5}] + [{"x": at} for at in range(19)] + [{"y": 1}]
    table = table_of([sample(row) for row in rows])
    assert table.names == ("x",)
    assert len(table.rows) == 20


@pytest.mark.parametrize("row", ["text", None, {}, [], {"x": None}, {"x": {"y": 1}}])
def test_diagnosis_says_nothing_when_inputs_have_no_numbers(row):
    found = diagnose((sample(row, True),) * 6, (sample(row),) * 6, 6, 12)
    assert found.regions == () and found.axes == ()
