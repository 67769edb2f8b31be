"""Confidence sequences, held against known sizes and against another library."""

from math import log

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from shadow_router.values import Bounds
from shadow_router.verdict.sequences import (
    count_limits,
    difference_bounds,
    mean_bounds,
    quantile_buckets,
    share_bounds,
)


@pytest.mark.parametrize(("limit", "trials"), [(0.05, 116), (0.01, 680), (1e-3, 8062)])
def test_share_falls_below_a_limit_when_it_happened_in_none_of_so_many(limit, trials):
    assert share_bounds(0, trials, 0.05).upper < limit
    assert share_bounds(0, trials - 1, 0.05).upper >= limit


@pytest.mark.parametrize(("count", "trials"), [(8, 150), (4, 35)])
def test_share_exceeds_one_percent_when_it_happened_often(count, trials):
    assert share_bounds(count, trials, 0.05).lower > 0.01


@pytest.mark.parametrize(("rate", "usual"), [(0.05, 150), (0.10, 35)])
def test_share_of_one_percent_is_rejected_about_when_promised(rate, usual):
    rng = np.random.default_rng(11)
    stops = []
    for _ in range(100):
        count = trials = 0
        while share_bounds(count, trials, 0.05).lower <= 0.01:
            trials += 1
            count += int(rng.random() < rate)
        stops.append(trials)
    assert 0.7 * usual < np.mean(stops) < 1.3 * usual


def test_share_is_anything_when_nothing_was_tried():
    assert share_bounds(0, 0, 0.05) == Bounds(0.0, 1.0)


def test_share_reaches_one_when_it_happened_every_time():
    bounds = share_bounds(50, 50, 0.05)
    assert bounds.upper == 1.0
    assert 0.8 < bounds.lower < 1.0


@pytest.mark.parametrize(
    ("count", "trials", "alpha"), [(-1, 5, 0.05), (6, 5, 0.05), (0, 5, 0), (0, 5, 1)]
)
def test_share_is_refused_when_counts_make_no_sense(count, trials, alpha):
    with pytest.raises(ValueError):
        share_bounds(count, trials, alpha)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.97])
def test_share_agrees_with_ville_at_every_look(share):
    seen = (np.random.default_rng(5).random(400) < share).astype(float)
    oracle = ville.BernoulliCS(alpha=0.02, prior=(0.5, 0.5), intersect=False).fit(seen)
    ours = [
        share_bounds(int(count), trials, 0.02)
        for trials, count in enumerate(np.cumsum(seen), start=1)
    ]
    assert [b.lower for b in ours] == pytest.approx(list(oracle.lower_), abs=1e-9)
    assert [b.upper for b in ours] == pytest.approx(list(oracle.upper_), abs=1e-9)


def test_e_value_against_a_half_agrees_with_ville_when_pairs_are_discordant():
    # The always-valid McNemar test is the bound on a share of discordant pairs.
    won = (np.random.default_rng(6).random(200) < 0.7).astype(float)
    oracle = ville.BernoulliTest(0.5, alpha=0.05, prior=(0.5, 0.5)).fit(won)
    first = oracle.stopping_time()
    excluded = [
        trials
        for trials, count in enumerate(np.cumsum(won), start=1)
        if share_bounds(int(count), trials, 0.05).lower > 0.5
    ]
    assert first == excluded[0]


def test_mean_holds_the_truth_and_rivals_ville_when_values_are_small():
    values = np.random.default_rng(1).beta(0.3, 20, 3000)
    oracle = ville.EmpiricalBernsteinCS(alpha=0.05, intersect=False).fit(values)
    for trials in (100, 500, 3000):
        seen = values[:trials]
        ours = mean_bounds(trials, seen.sum(), (seen**2).sum(), 0.05)
        assert ours.lower < 0.3 / 20.3 < ours.upper
        width = oracle.upper_[trials - 1] - oracle.lower_[trials - 1]
        # Another method for the same question: neither is narrower everywhere.
        assert ours.upper - ours.lower < 1.4 * width


@pytest.mark.parametrize(("limit", "trials"), [(0.02, 321), (0.05, 129)])
def test_mean_falls_below_a_limit_when_so_many_values_are_zero(limit, trials):
    assert mean_bounds(trials, 0, 0, 0.05).upper < limit
    assert mean_bounds(trials - 1, 0, 0, 0.05).upper >= limit


@pytest.mark.parametrize("sums", [(2, 3, 1), (2, 1, 1.5), (2, 1, -0.1), (2, -1, 0)])
def test_mean_is_refused_when_sums_make_no_sense(sums):
    with pytest.raises(ValueError):
        mean_bounds(*sums, 0.05)


def test_mean_is_anything_when_nothing_was_seen():
    assert mean_bounds(0, 0, 0, 0.05) == Bounds(0.0, 1.0)


def test_difference_is_that_of_both_shares_at_half_the_error_rate():
    up, down = share_bounds(30, 1000, 0.025), share_bounds(10, 1000, 0.025)
    expected = Bounds(up.lower - down.upper, up.upper - down.lower)
    assert difference_bounds(30, 10, 1000, 0.05) == expected
    assert expected.lower < 0.02 < expected.upper


def test_count_limits_are_where_the_share_is_excluded():
    low, high = count_limits(1000, 0.95, 0.05)
    assert share_bounds(int(low), 1000, 0.05).upper < 0.95
    assert share_bounds(int(low) + 1, 1000, 0.05).upper >= 0.95
    assert share_bounds(int(high) + 1, 1000, 0.05).lower > 0.95
    assert share_bounds(int(high), 1000, 0.05).lower <= 0.95


def test_count_limits_exclude_nothing_when_there_is_too_little():
    assert count_limits(0, 0.5, 0.05) == (-1, 1)
    assert count_limits(3, 0.5, 0.05) == (-1, 4)


def test_quantile_is_anywhere_when_nothing_was_counted():
    assert quantile_buckets([0, 0, 0], 0.5, 0.05) == (0, 2)


@pytest.mark.parametrize(("share", "true"), [(0.5, 50), (0.95, 95), (0.99, 99)])
def test_quantile_lies_between_its_buckets_when_values_are_even(share, true):
    # Bucket b holds the values from b to b + 1.
    first, last = quantile_buckets([1000.0] * 100, share, 0.05)
    assert first <= true and true - 1 <= last
    assert last - first <= 3


def test_quantile_is_exact_when_all_values_are_the_same():
    assert quantile_buckets([0, 500, 0], 0.99, 0.05)[0] == 1
    assert quantile_buckets([0, 5000, 0], 0.99, 0.05) == (1, 1)


def test_quantile_agrees_with_ville_about_the_truth():
    values = np.random.default_rng(2).exponential(size=4000)
    counts = np.histogram(values, bins=np.arange(0, 12, 0.02))[0].astype(float)
    first, last = quantile_buckets(list(counts), 0.95, 0.05)
    oracle = ville.QuantileCS(q=0.95, alpha=0.05, intersect=False).fit(values)
    assert first * 0.02 < log(20) < (last + 1) * 0.02
    # For quantiles in the tail a bound for shares is the narrower one.
    assert (last + 1 - first) * 0.02 < oracle.upper_[-1] - oracle.lower_[-1]


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.001, 0.2))
def test_bounds_hold_what_was_seen_and_narrow_when_there_is_more(trials, share, alpha):
    count = share * trials
    few, many = (share_bounds(k * count, k * trials, alpha) for k in (1, 8))
    assert 0 <= few.lower <= share <= few.upper <= 1 or share in (0, 1)
    assert many.upper - many.lower < few.upper - few.lower
