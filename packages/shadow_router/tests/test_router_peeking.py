"""
P18: the verdict errs as promised, looked at after every request.

Each gate meets 2,000 runs whose truth lies exactly at its limit, so that both PASS and
FAIL are wrong. A gate that errs in 5 % of such runs errs in 100 of them give or take
9.7; more than 129 of 2,000 (three deviations over) would show that it errs more often.
"""

import math

import numpy as np
import pytest

from shadow_router.rules.rules import Rules, Thresholds
from shadow_router.values import Fate
from shadow_router.verdict.evidence import Evidence, Labelled, Tallies, Tried
from shadow_router.verdict.gates import GATES
from shadow_router.verdict.parts import State
from shadow_router.verdict.sequences import count_limits

ALPHA = 0.05
RUNS = 2000
STEPS = 1500
MOST = 129
LIMIT = 0.05
RULES = Rules(
    thresholds=Thresholds(
        contract=LIMIT,
        errors=LIMIT,
        flips=LIMIT,
        confident_flips=LIMIT,
        distance=LIMIT,
        shifts=LIMIT,
        class_mix=LIMIT,
        segments=LIMIT,
        labels=LIMIT,
    )
)


def happenings(share, seed):
    """Return how often something of this share has happened, by run and step."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.random((RUNS, STEPS)) < share, axis=1, dtype=np.int32)


def runs_that_decide(counts, state_at):
    """Return in how many runs some look says PASS or FAIL."""
    passes, fails = [], []
    most, least = -1, 0
    for n in range(1, STEPS + 1):
        # Both limits only rise with n, so each is looked for from where it was.
        while most < n and state_at(n, most + 1) is State.PASS:
            most += 1
        while least <= n and state_at(n, least) is not State.FAIL:
            least += 1
        passes.append(most)
        fails.append(least)
    decided = (counts <= np.array(passes)) | (counts >= np.array(fails))
    return int(decided.any(axis=1).sum())


def pairs(n, flips):
    return {("a", "a"): n - flips, ("a", "b"): flips}


def contract(n, c):
    fates = {Fate.MATCH: n - c, Fate.CONTRACT_BREAK: c}
    return Evidence(fates, Tallies(requests=n, breaks=c))


def errors(n, c):
    fates = {Fate.MATCH: n - c, Fate.SHADOW_ERROR: c}
    return Evidence(fates, Tallies(requests=n, errors=c))


def flips(n, c):
    return Evidence({}, Tallies(pairs=pairs(n, c)))


def confident_flips(n, c):
    return Evidence({}, Tallies(measured=n, confident_flips=c))


def shifts(n, c):
    return Evidence({}, Tallies(pairs=pairs(n, 0), shifts=c))


def segments(n, c):
    return Evidence({}, Tallies(pairs=pairs(n, c), segments={"a": Tried(n, c)}))


def far(n, c):
    return Evidence({}, Tallies(measured=n, distance=c, squared_distance=c))


def near(n, c):
    sums = {"distance": 0.125 * c, "squared_distance": 0.125**2 * c}
    return Evidence({}, Tallies(measured=n, **sums))


def labels(n, c):
    return Evidence({}, labelled=Labelled(n, live_alone_right=c, shadow_alone_right=0))


def judged_by(name, evidence):
    return lambda n, c: GATES[name](evidence(n, c), RULES, ALPHA).state


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("name", "evidence", "share"),
    [
        ("contract", contract, LIMIT),
        ("errors", errors, LIMIT),
        ("flips", flips, LIMIT),
        ("confident_flips", confident_flips, LIMIT),
        ("shifts", shifts, LIMIT),
        ("class_mix", flips, LIMIT),
        ("segments", segments, LIMIT),
        # Distances of 0 and 1, and of 0 and 1/8: the same mean, another spread.
        ("distance", far, LIMIT),
        ("distance", near, LIMIT / 0.125),
    ],
)
def test_gate_seldom_decides_when_the_truth_lies_at_its_limit(name, evidence, share):
    counts = happenings(share, seed=18)
    assert runs_that_decide(counts, judged_by(name, evidence)) <= MOST


@pytest.mark.slow
def test_labels_seldom_pass_when_the_loss_lies_at_its_limit():
    def state_at(n, c):
        state = GATES["labels"](labels(n, c), RULES, ALPHA).state
        # The loss is real: to fail is right here.
        return State.INCONCLUSIVE if state is State.FAIL else state

    assert runs_that_decide(happenings(LIMIT, seed=19), state_at) <= MOST


@pytest.mark.slow
def test_labels_seldom_decide_when_both_versions_are_equally_right():
    def state_at(n, c):
        # All pairs are discordant, and a net loss of none is under its limit.
        seen = Labelled(n, live_alone_right=c, shadow_alone_right=n - c)
        state = GATES["labels"](Evidence({}, labelled=seen), RULES, ALPHA).state
        return state if state is State.FAIL else State.INCONCLUSIVE

    assert runs_that_decide(happenings(0.5, seed=20), state_at) <= MOST


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_quantile_is_seldom_excluded_when_looked_at_after_every_request(share):
    # What lies at or below the true quantile is counted, wherever that quantile is.
    limits = [count_limits(n, share, ALPHA) for n in range(1, STEPS + 1)]
    low, high = np.array(limits).T
    counts = happenings(share, seed=21)
    wrong = ((counts <= low) | (counts >= high)).any(axis=1).sum()
    assert wrong <= MOST


def test_an_ordinary_interval_is_found_out_when_looked_at_after_every_request():
    def state_at(n, c):
        # Wilson's 95 % interval: right once, at a moment chosen beforehand.
        z = 1.96
        middle = (c + z * z / 2) / (n + z * z)
        reach = z / (n + z * z) * math.sqrt(c * (n - c) / n + z * z / 4)
        is_above = middle - reach > LIMIT
        below = State.PASS if middle + reach < LIMIT else State.INCONCLUSIVE
        return State.FAIL if is_above else below

    assert runs_that_decide(happenings(LIMIT, seed=18), state_at) > 3 * MOST
