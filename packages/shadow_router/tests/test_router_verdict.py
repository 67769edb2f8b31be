"""The verdict and its bounds, held against known sizes."""

import random

import pytest

from shadow_router.records import Bounds, Fate
from shadow_router.verdict import Evidence, State, flip_rate_bounds, judge, loss_of


@pytest.mark.parametrize(("limit", "inputs"), [(0.05, 116), (0.01, 680), (0.001, 8062)])
def test_bounds_fall_below_a_limit_when_so_many_inputs_show_no_flip(limit, inputs):
    assert flip_rate_bounds(0, inputs, 0.05).upper < limit
    assert flip_rate_bounds(0, inputs - 1, 0.05).upper >= limit


@pytest.mark.parametrize(("flips", "inputs"), [(8, 150), (4, 35)])
def test_bounds_exceed_one_percent_when_flips_are_frequent(flips, inputs):
    assert flip_rate_bounds(flips, inputs, 0.05).lower > 0.01


def test_bounds_are_everything_when_nothing_was_seen():
    assert flip_rate_bounds(0, 0, 0.05) == Bounds(0.0, 1.0)


def test_bounds_reach_one_when_every_input_flips():
    bounds = flip_rate_bounds(50, 50, 0.05)
    assert bounds.upper == 1.0
    assert 0.8 < bounds.lower < 1.0


@pytest.mark.parametrize(
    ("flips", "inputs", "alpha"), [(-1, 5, 0.05), (6, 5, 0.05), (0, 5, 0), (0, 5, 1)]
)
def test_bounds_are_refused_when_counts_make_no_sense(flips, inputs, alpha):
    with pytest.raises(ValueError):
        flip_rate_bounds(flips, inputs, alpha)


def test_bounds_exclude_the_truth_seldom_when_looked_at_after_every_input():
    rng = random.Random(7)
    wrong = 0
    for _ in range(200):
        flips = 0
        for inputs in range(1, 201):
            flips += rng.random() < 0.1
            bounds = flip_rate_bounds(flips, inputs, 0.05)
            if not bounds.lower <= 0.1 <= bounds.upper:
                wrong += 1
                break
    # An ordinary 95 % interval would be wrong in about 60 of these 200 runs.
    assert wrong <= 10


def evidence(fates, inputs=0, flips=0, live=("1.0.0",), shadow=("1.1.0",)):
    return Evidence(fates, inputs, flips, live, shadow)


@pytest.mark.parametrize(
    ("lost", "state"), [(1, State.INCONCLUSIVE), (2, State.INVALID)]
)
def test_verdict_is_invalid_when_more_than_one_percent_is_lost(lost, state):
    fates = {Fate.MATCH: 100 - lost, Fate.DROPPED_QUEUE: lost, Fate.SKIPPED_METHOD: 900}
    assert judge(evidence(fates)).state is state


def test_loss_counts_every_dropped_and_internal_error_but_no_skipped():
    fates = {fate: 1 for fate in Fate}
    assert loss_of(fates) == pytest.approx(7 / 15)


def test_verdict_is_invalid_when_a_version_changes():
    verdict = judge(evidence({Fate.MATCH: 10}, shadow=("1.1.0", "1.2.0")))
    assert verdict.state is State.INVALID
    assert "1.1.0, 1.2.0" in verdict.reason


def test_verdict_says_how_far_the_evidence_has_come_when_inconclusive():
    verdict = judge(evidence({Fate.MATCH: 680}, inputs=680))
    assert verdict.state is State.INCONCLUSIVE
    assert "0 of 680 unique inputs changed label" in verdict.reason
    assert "between 0.00% and 1.00%" in verdict.reason


def test_verdict_says_that_nothing_was_compared_when_nothing_was():
    assert judge(evidence({})).reason == "no two answers have been compared yet"
