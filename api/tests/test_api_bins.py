"""A training table that is sent unchanged is no drift, whatever its values are."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st
from hypothesis.extra import numpy as tables

from iris_api.schemas import Feature
from iris_api.schemas import Histogram as TableHistogram
from iris_api.schemas import ModelCard
from iris_api.telemetry.counts import AnswerCounts, Histogram, bins_of

WHOLE = tables.arrays(np.float64, st.integers(1, 80), elements=st.integers(-9, 30))
TENTHS = WHOLE.map(lambda values: values / 10)
ANY = tables.arrays(
    np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6, allow_subnormal=False)
)


def histogram_of(values):
    """Return what training writes into the manifest."""
    try:
        counts, edges = np.histogram(values, bins=10)
    except ValueError:
        reject()  # too close to each other for ten bins, also when training
    return TableHistogram(edges=edges.tolist(), counts=counts.tolist())


def live_counts(bins, values):
    """Return live's rows: below all bins, in each, and above."""
    counted = Histogram(bins.ends)
    counted.add(np.array(values, dtype=float))
    family = SimpleNamespace(add_metric=lambda *said: said)
    said = []
    family.add_metric = lambda labels, buckets, total: said.extend(buckets)
    counted.add_to(family, ())
    return np.diff([n for _, n in said], prepend=0).tolist()


@given(st.one_of(WHOLE, TENTHS, ANY))
@example(np.full(9, 3.0))
@example(np.arange(11.0))
@example(np.array([0.0, 1.0]))
@example(np.array([0.1 + 0.2, 0.3, 0.6, 0.9]))
def test_table_is_counted_as_the_manifest_counts_it(values):
    table = histogram_of(values)
    for least in (0.0, 0.25):
        bins = bins_of(table, least)
        assert live_counts(bins, values) == [0, *bins.counts, 0]
        assert sum(bins.counts) == len(values)


@given(st.one_of(WHOLE, ANY))
def test_bins_hold_a_quarter_of_the_table_when_inputs_are_withheld(values):
    bins = bins_of(histogram_of(values), 0.25)
    assert 1 <= len(bins.counts) <= 4
    assert len(bins.counts) == 1 or min(bins.counts) >= len(values) / 4


def test_values_outside_are_in_no_bin_of_the_table():
    bins = bins_of(histogram_of(np.arange(11.0)))
    below, above = np.nextafter(0.0, -1.0), np.nextafter(10.0, 11.0)
    assert live_counts(bins, [below, -1e300, above, 1e300]) == [2, *[0] * 10, 2]
    assert live_counts(bins, [0.0, 10.0])[1:-1] == [1, *[0] * 8, 1]


def family_of(counts, name):
    return next(one for one in counts.collect() if one.name == name)


def card_of(values):
    feature = Feature(
        name="x",
        unit="",
        minimum=float(min(values)),
        maximum=float(max(values)),
        histogram=histogram_of(values),
    )
    return ModelCard.model_construct(
        name="m", version="1", classes=["a", "b"], features=[feature]
    )


@pytest.mark.parametrize("tells_inputs", [True, False])
@pytest.mark.parametrize("times", [1, 7])
def test_live_and_table_are_told_at_the_same_ends(tells_inputs, times):
    values = np.array([1.0, 2, 2, 3, 3, 3, 4, 5, 8, 13])
    counts = AnswerCounts(card_of(values), None, tells_inputs)
    shares = np.array([[0.3, 0.7]] * len(values))
    counts.add([(values[:, None], shares, 0.001)] * times)
    live = {
        one.labels["le"]: one.value / (10 * times)
        for one in family_of(counts, "model_feature_value").samples
        if "le" in one.labels
    }
    table = {
        one.labels["le"]: one.value
        for one in family_of(counts, "model_feature_reference_ratio").samples
    }
    assert table and {end: live[end] for end in table} == table


def test_sums_are_told_when_inputs_are_and_not_else():
    values = np.array([1.0, 2.0, 13.0])
    for tells_inputs in (True, False):
        counts = AnswerCounts(card_of(values), None, tells_inputs)
        counts.add([(values[:, None], np.array([[0.3, 0.7]] * 3), 0.001)])
        names = {s.name for family in counts.collect() for s in family.samples}
        sums = {"model_feature_value_sum", "model_confidence_ratio_sum"}
        assert names & sums == (sums if tells_inputs else set())
        assert "model_prediction_duration_seconds_sum" in names


def test_ends_are_text_that_prometheus_reads():
    bins = bins_of(histogram_of(np.arange(11.0)))
    assert [float(json.loads(repr(end))) for end in bins.ends] == bins.ends
    assert repr(bins.ends[1]) == "0.9999999999999999"
