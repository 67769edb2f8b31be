"""The verdict: each gate has evidence that turns it red, and one bad measurement."""

from dataclasses import replace

import pytest

from shadow_router.page.gate_rows import gate_rows
from shadow_router.rules.rules import PROFILES, Paths, Rules
from shadow_router.values import Fate
from shadow_router.verdict.evidence import (
    Evidence,
    Labelled,
    Lanes,
    Sketch,
    Tallies,
    Tried,
)
from shadow_router.verdict.gates import GATES
from shadow_router.verdict.latency import fine_bucket_of
from shadow_router.verdict.parts import State
from shadow_router.verdict.verdict import Eta, duration, judge, loss_of

N = 40_000


def sketch(shadow_ms, live_ms=1.0, n=N):
    return Sketch({fine_bucket_of(live_ms): n}, {fine_bucket_of(shadow_ms): n})


GOOD_TALLIES = Tallies(
    requests=N,
    pairs={("a", "a"): N / 2, ("b", "b"): N / 2},
    measured=N,
    segments={"a": Tried(N / 2, 0), "b": Tried(N / 2, 0)},
    sketches={"server": sketch(1.0)},
)
GOOD = Evidence(
    fates={Fate.MATCH: N},
    tallies=GOOD_TALLIES,
    live_versions=("1.0.0",),
    shadow_versions=("1.1.0",),
    rules=("abc",),
)


def with_tallies(**changes):
    return replace(GOOD, tallies=replace(GOOD_TALLIES, **changes))


def with_fates(**fates):
    return replace(GOOD, fates={Fate(name): n for name, n in fates.items()})


def gate(verdict, name):
    return next(gate for gate in verdict.gates if gate.name == name)


def test_verdict_is_pass_when_enough_was_seen_and_all_of_it_agrees():
    verdict = judge(GOOD)
    assert verdict.state is State.PASS
    assert {gate.name: gate.state for gate in verdict.gates} == {
        name: State.PASS
        for name in ("measurement", "contract", "errors", "flips", "confident_flips")
        + ("distance", "class_mix", "segments", "latency")
    }
    assert verdict.reason == "all 9 gates pass on 40,000 unique inputs"
    assert verdict.eta is None
    assert verdict.absent == {
        "shifts": "the profile retrain allows numbers to move",
        "labels": "no labels have arrived",
        "clients": "no client has been seen",
    }


def flipped(n):
    return {("a", "a"): N / 2, ("b", "b"): N / 2 - n, ("b", "a"): n}


BAD = {
    "contract": with_tallies(breaks=100),
    "contract, on repeats": with_fates(match=N, contract_break=100),
    "errors": with_tallies(errors=100),
    "errors, on repeats": with_fates(match=N, shadow_timeout=100),
    "flips": with_tallies(pairs=flipped(600)),
    "confident_flips": with_tallies(confident_flips=100),
    "distance": with_tallies(distance=1200, squared_distance=100),
    "class_mix": with_tallies(pairs=flipped(600)),
    "segments": with_tallies(segments={"a": Tried(N / 2, 400), "b": Tried(N / 2, 0)}),
    "latency": with_tallies(sketches={"server": sketch(1.3)}),
    "labels": replace(GOOD, labelled=Labelled(1000, 60, 20)),
}


@pytest.mark.parametrize("case", BAD)
def test_gate_fails_when_its_evidence_is_bad(case):
    name = case.partition(",")[0]
    verdict = judge(BAD[case])
    assert gate(verdict, name).state is State.FAIL
    assert verdict.state is State.FAIL
    assert name in verdict.reason


def test_shifts_fail_when_a_refactor_moves_numbers():
    rules = Rules(profile="refactor", thresholds=PROFILES["refactor"][0])
    verdict = judge(with_tallies(shifts=100), rules)
    assert gate(verdict, "shifts").state is State.FAIL


def test_every_gate_has_evidence_that_turns_it_red():
    assert {case.partition(",")[0] for case in BAD} | {"shifts"} == set(GATES)


INVALID = {
    "1.0% of the traffic due was lost": with_fates(match=990, dropped_queue=10),
    "live answered as 1.0.0, 1.0.1": replace(GOOD, live_versions=("1.0.0", "1.0.1")),
    "shadow answered as 1.1.0, 2.0.0": replace(
        GOOD, shadow_versions=("1.1.0", "2.0.0")
    ),
    "the rules were changed during the run": replace(GOOD, rules=("abc", "def")),
    "live gave another label on 3 of 200": with_tallies(repeats=200, live_changes=3),
    "live does not agree with itself on 1 of 500": replace(
        GOOD, lanes=Lanes(live_against_live=Tried(500, 1))
    ),
    "the comparison missed 1 of 30 mutants: drop_row": replace(
        GOOD, lanes=Lanes(mutants=Tried(30, 29), missed=("drop_row",))
    ),
}


@pytest.mark.parametrize("reason", INVALID)
def test_verdict_is_invalid_when_the_measurement_cannot_be_believed(reason):
    verdict = judge(INVALID[reason])
    assert verdict.state is State.INVALID
    assert verdict.reason.startswith(reason)
    assert gate(verdict, "measurement").state is State.INVALID


def test_verdict_is_invalid_rather_than_fail_when_both_apply():
    verdict = judge(replace(BAD["flips"], rules=("abc", "def")))
    assert verdict.state is State.INVALID


def spared(n, **fates):
    """Return evidence of which the breaker left out `n` requests."""
    return with_fates(match=1000, dropped_breaker=n, **fates)


SPARED = {
    "for no reason that is seen": (spared(100), State.INVALID),
    "too few to matter": (spared(10, shadow_error=500), State.FAIL),
    "after errors": (spared(9000, shadow_error=100), State.FAIL),
    "after one error": (spared(9000, shadow_error=1), State.INVALID),
    "beside contract breaks": (spared(9000, contract_break=100), State.FAIL),
    "beside flips": (
        replace(spared(9000), tallies=BAD["flips"].tallies),
        State.INVALID,
    ),
    "beside other loss": (
        spared(9000, shadow_error=100, dropped_queue=12),
        State.INVALID,
    ),
    "beside a change of rules": (
        replace(spared(9000, shadow_error=100), rules=("abc", "def")),
        State.INVALID,
    ),
}


@pytest.mark.parametrize("case", SPARED)
def test_loss_by_the_breaker_hides_no_failure_and_forgives_nothing_else(case):
    evidence, state = SPARED[case]
    assert judge(evidence).state is state


def test_verdict_says_why_it_fails_when_the_breaker_left_the_shadow_alone():
    verdict = judge(spared(8890, shadow_error=110))
    assert verdict.reason.startswith("errors: failures, repeats too: 9.91% of 1,110")
    assert verdict.reason.endswith("that is why 88.9% of the traffic was left out")
    assert gate(verdict, "measurement").reason == (
        "88.9% of the traffic due was lost (8,890 requests by the breaker); "
        "it must be under 1%; begin again with an empty data directory "
        "(SHADOW_ROUTER_DATA_DIR)"
    )


@pytest.mark.parametrize("left_out", [0, 10, 11, 10_000])
def test_no_loss_by_the_breaker_lets_a_shadow_pass(left_out):
    evidence = with_fates(match=N, dropped_breaker=N * left_out / 1000)
    passes = judge(evidence).state is State.PASS
    assert passes is (left_out < 11)


def test_loss_counts_every_dropped_and_internal_error_but_no_skipped():
    assert loss_of({fate: 1 for fate in Fate}) == pytest.approx(8 / 16)


@pytest.mark.parametrize(("lost", "state"), [(9, State.PASS), (10, State.INVALID)])
def test_measurement_is_invalid_when_one_percent_is_lost(lost, state):
    evidence = with_fates(match=1000 - lost, dropped_writer=lost, skipped_method=9000)
    assert gate(judge(evidence), "measurement").state is state


def test_measurement_says_what_it_knows_when_it_passes():
    tallies = {"repeats": 2000, "live_changes": 2, "shadow_changes": 40}
    assert gate(judge(with_tallies(**tallies)), "measurement").reason == (
        "0.00% lost, versions and rules unchanged; "
        "live changed its label on 2 of 2,000 repeats; "
        "shadow changed its label on 40 of 2,000 repeats; "
        "live-against-live lane not running; mutant lane not running"
    )


def test_measurement_names_the_lanes_when_they_run():
    lanes = Lanes(live_against_live=Tried(500, 0), mutants=Tried(30, 30))
    reason = gate(judge(replace(GOOD, lanes=lanes)), "measurement").reason
    assert "live-against-live lane silent in 500" in reason
    assert "mutant lane all found in 30" in reason


def some(n, flips=0, per_s=0.0):
    tallies = replace(
        GOOD_TALLIES,
        requests=n,
        pairs={("a", "a"): n - flips, ("a", "b"): flips},
        measured=n,
        segments={"a": Tried(n, flips)},
        sketches={"server": sketch(1.0, n=n)},
    )
    return replace(GOOD, fates={Fate.MATCH: n}, tallies=tallies, inputs_per_s=per_s)


def test_verdict_says_how_much_is_missing_when_inconclusive():
    verdict = judge(some(1000, per_s=10.0))
    assert verdict.state is State.INCONCLUSIVE
    # Contract and errors need 11,000 or so: under 0.1 % at a twentieth of 5 %.
    assert 10_000 < verdict.eta.inputs < 11_000
    assert verdict.eta.seconds == pytest.approx(verdict.eta.inputs / 10)
    assert verdict.reason.startswith("not yet decided: contract, errors, ")
    assert " more unique inputs, 17 min at this rate" in verdict.reason


def test_forecast_comes_true_when_the_evidence_goes_on_as_it_began():
    eta = judge(some(1000)).eta
    assert judge(some(1000 + eta.inputs)).state is State.PASS
    assert judge(some(1000 + int(0.95 * eta.inputs))).state is State.INCONCLUSIVE
    assert eta.seconds is None
    assert judge(some(1000)).reason.endswith("no new ones arrive now")


def test_forecast_is_refused_when_the_evidence_is_too_close_to_a_limit():
    verdict = judge(some(1000, flips=10))
    assert verdict.eta is None
    assert "too close to a limit" in verdict.reason


def test_no_gate_is_close_to_its_limit_when_it_has_no_evidence():
    silent = with_tallies(sketches={})
    assert judge(silent).reason == (
        "not yet decided: latency; no evidence yet for latency"
    )
    [row] = [one for one in gate_rows(judge(silent), 1.0) if one.name == "latency"]
    assert (row.reason, row.missing) == ("no evidence yet", "")


@pytest.mark.parametrize(
    ("tallies", "name", "words"),
    [
        # One good answer in a refactor, of which tens of thousands are needed.
        ({"requests": 1, "pairs": {("a", "a"): 1}}, "flips", "has seen too little"),
        ({"requests": 30, "errors": 30, "pairs": {}}, "flips", "has no evidence yet"),
        (
            {"pairs": {("a", "a"): 9999, ("a", "b"): 1}},
            "flips",
            "is too close to its limit",
        ),
    ],
)
def test_gate_says_why_its_need_cannot_be_told(tallies, name, words):
    evidence = with_tallies(measured=0, segments={}, sketches={}, **tallies)
    refactor = Rules(profile="refactor", thresholds=PROFILES["refactor"][0])
    verdict = judge(evidence, refactor)
    [row] = [one for one in gate_rows(verdict, 1.0) if one.name == name]
    assert row.missing.startswith(words)


def absent(**fates):
    fates = {Fate(name): n for name, n in fates.items()}
    errors = fates.get(Fate.SHADOW_REFUSED, 0)
    tallies = Tallies(requests=errors, errors=errors)
    return Evidence(fates=fates, tallies=tallies, shadow_url="http://a:1")


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (absent(shadow_refused=1), State.FAIL),
        (absent(shadow_refused=40, dropped_breaker=400), State.FAIL),
        (absent(shadow_refused=1, dropped_queue=40), State.INVALID),
    ],
)
def test_verdict_says_that_nobody_answers_when_the_shadow_never_did(evidence, state):
    verdict = judge(evidence)
    assert verdict.state is state
    assert verdict.reason.startswith("nobody answers at http://a:1; ")


def test_errors_say_that_nobody_answered_when_the_shadow_was_away_for_a_while():
    verdict = judge(replace(with_fates(match=N, shadow_refused=30)))
    assert "nobody answers" not in verdict.reason
    assert gate(verdict, "errors").reason.endswith(
        "; nobody answered at the shadow's address 30 times"
    )


@pytest.mark.parametrize(
    "evidence",
    [
        with_fates(match=900, dropped_queue=100),
        replace(GOOD, live_versions=("1", "2")),
        replace(GOOD, rules=("a", "b")),
        with_tallies(repeats=10, live_changes=9),
        replace(GOOD, lanes=Lanes(live_against_live=Tried(10, 1))),
        replace(GOOD, lanes=Lanes(mutants=Tried(10, 9))),
    ],
)
def test_invalid_says_how_to_begin_again_whatever_the_reason(evidence):
    verdict = judge(evidence)
    assert verdict.state is State.INVALID
    assert verdict.reason.endswith(
        "; begin again with an empty data directory (SHADOW_ROUTER_DATA_DIR)"
    )


def test_forecast_is_none_when_nothing_was_compared():
    verdict = judge(Evidence(fates={}))
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason == "no two answers have been compared yet"
    assert verdict.eta is None
    assert Eta(1, None) != verdict.eta


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (20, "less than a minute"),
        (300, "5 min"),
        (7800, "2 h 10 min"),
        (270_000, "3 d 3 h"),
    ],
)
def test_duration_is_said_as_people_say_it(seconds, said):
    assert duration(seconds) == said


def test_flips_fail_under_refactor_and_pass_under_retrain_when_some_labels_change():
    evidence = with_tallies(pairs=flipped(40))
    refactor = Rules(profile="refactor", thresholds=PROFILES["refactor"][0])
    assert gate(judge(evidence), "flips").state is State.PASS
    assert gate(judge(evidence, refactor), "flips").state is State.FAIL


def test_error_rate_is_split_over_gates_and_parts():
    parts = gate(judge(GOOD), "class_mix").parts
    alone = GATES["class_mix"](GOOD, Rules(), 0.05).parts
    assert len(parts) == 2
    assert parts[0].bounds.upper > alone[0].bounds.upper


def test_segments_name_those_too_rare_to_be_judged_alone():
    rare = {f"rare {k}": Tried(10, 10) for k in range(7)}
    verdict = judge(with_tallies(segments={**GOOD_TALLIES.segments, **rare}))
    found = gate(verdict, "segments")
    assert found.state is State.PASS
    assert len(found.parts) == 2
    assert "under 1% of inputs: rare 0, rare 1" in found.reason
    assert "and 2 more" in found.reason


def test_segments_are_not_asked_when_all_are_too_rare():
    many = {f"class {k}": Tried(N / 200, 0) for k in range(200)}
    verdict = judge(with_tallies(segments=many))
    assert verdict.state is State.PASS
    assert verdict.absent["segments"] == "none holds 1% of the inputs"


def test_latency_asks_the_servers_clocks_when_most_answers_tell_them():
    slow, quick = sketch(2.0), sketch(1.0)
    both = with_tallies(sketches={"server": quick, "caller": slow})
    assert gate(judge(both), "latency").state is State.PASS
    few = with_tallies(sketches={"server": sketch(1.0, n=N / 4), "caller": slow})
    found = gate(judge(few), "latency")
    assert found.state is State.FAIL
    assert "by the caller's clock" in found.reason


def test_latency_fails_when_one_answer_in_fifty_never_came():
    late = {fine_bucket_of(1.0): 0.98 * N, fine_bucket_of(float("inf")): 0.02 * N}
    sketches = {"server": Sketch({fine_bucket_of(1.0): N}, late)}
    found = gate(judge(with_tallies(sketches=sketches)), "latency")
    assert [part.state for part in found.parts] == [
        State.PASS,
        State.PASS,
        State.FAIL,
    ]


def test_labels_pass_when_the_loss_is_surely_small_or_the_shadow_is_better():
    for seen in (Labelled(5000, 5, 5), Labelled(200, 5, 40)):
        verdict = judge(replace(GOOD, labelled=seen))
        assert gate(verdict, "labels").state is State.PASS
    unclear = judge(replace(GOOD, labelled=Labelled(200, 5, 5)))
    assert gate(unclear, "labels").state is State.INCONCLUSIVE


def test_gates_of_probabilities_are_not_asked_when_rules_name_none():
    verdict = judge(with_tallies(measured=0), Rules(paths=Paths(probabilities="")))
    assert verdict.state is State.PASS
    assert verdict.absent["distance"] == "the rules name no probabilities"
    assert "confident_flips" in verdict.absent
