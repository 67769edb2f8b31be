"""What is read of live's metrics, which are a stranger's text."""

import time

import pytest
from router_metrics import ALIKE, EDGES, HOSTILE, TABLE, exposition

from shadow_router.watch.exposition import MOST_CELLS, MOST_FEATURES, parse_sample


def sample(counts=ALIKE, at=0.0, **changes):
    """Return what was said at a moment by a live of one feature."""
    return parse_sample(exposition({"length": (EDGES, counts, TABLE)}, **changes), at)


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
