"""The gates: one question each to the evidence; pure."""

from collections.abc import Callable
from math import inf

from shadow_router.redaction.rounding import bounds_before_rounding
from shadow_router.rules.rules import Rules
from shadow_router.values import COMPARED, FAILED, Bounds, Fate
from shadow_router.verdict.evidence import Evidence, Sketch, Tallies, Tried
from shadow_router.verdict.latency import FINE_BUCKETS, FINE_RATIO, fine_edges_ms
from shadow_router.verdict.parts import Gate, Part, State, decided
from shadow_router.verdict.sequences import (
    difference_bounds,
    mean_bounds,
    quantile_buckets,
    share_bounds,
)

#: A segment with a smaller share of the unique inputs is named, but not judged alone.
COVERED = 0.01
_QUANTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


def _share(
    name: str,
    count: float,
    trials: float,
    limit: float,
    alpha: float,
    unit: str = "unique inputs",
) -> Part:
    bounds = share_bounds(count, trials, alpha)
    seen = count / trials if trials else None
    return Part(name, seen, bounds, limit, trials, unit)


def contract(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether the shadow keeps to the shape of live's answers."""
    tallies, fates, limit = evidence.tallies, evidence.fates, rules.thresholds.contract
    answered = tallies.requests - tallies.errors
    breaks = fates.get(Fate.CONTRACT_BREAK, 0)
    every = breaks + sum(fates.get(fate, 0) for fate in COMPARED)
    parts = [
        _share("breaks", tallies.breaks, answered, limit, alpha / 2, "unique requests"),
        _share("breaks, repeats too", breaks, every, limit, alpha / 2, "requests"),
    ]
    return decided("contract", parts)


def errors(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """
    Return whether the shadow answers where live does.

    A failure need not come from the input, so repeats are asked about as well.
    """
    tallies, fates, limit = evidence.tallies, evidence.fates, rules.thresholds.errors
    failed = sum(fates.get(fate, 0) for fate in FAILED)
    answered = sum(fates.get(fate, 0) for fate in (*COMPARED, Fate.CONTRACT_BREAK))
    first, every = (tallies.errors, tallies.requests), (failed, failed + answered)
    parts = [
        _share("failures", *first, limit, alpha / 2, "unique requests"),
        _share("failures, repeats too", *every, limit, alpha / 2, "requests"),
    ]
    refused, url = evidence.refused, evidence.shadow_url
    note = f"nobody answered at {url} {refused:,.0f} times" if refused else ""
    return decided("errors", parts, note)


def flips(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether few enough unique inputs change their label."""
    tallies, limit = evidence.tallies, rules.thresholds.flips
    part = _share("changed labels", tallies.flips, tallies.inputs, limit, alpha)
    return decided("flips", [part])


def confident_flips(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether few enough labels change of which live was sure."""
    tallies, limit = evidence.tallies, rules.thresholds.confident_flips
    counts = (tallies.confident_flips, tallies.measured)
    part = _share("changed labels live was sure of", *counts, limit, alpha)
    return decided("confident_flips", [part])


def distance(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether probabilities are close enough on average."""
    tallies, n = evidence.tallies, evidence.tallies.measured
    sums = (tallies.distance, tallies.squared_distance)
    bounds = mean_bounds(n, *sums, alpha)
    name = "mean total variation"
    if rules.withholds_inputs:
        bounds, name = bounds_before_rounding(bounds), f"{name}, each rounded up"
    seen = tallies.distance / n if n else None
    return decided("distance", [Part(name, seen, bounds, rules.thresholds.distance, n)])


def shifts(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether few enough inputs have a number beyond its tolerance."""
    tallies, limit = evidence.tallies, rules.thresholds.shifts
    assert limit is not None
    part = _share("beyond tolerance", tallies.shifts, tallies.inputs, limit, alpha)
    return decided("shifts", [part])


def class_mix(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether every class is answered about as often as before."""
    pairs, n = evidence.tallies.pairs, evidence.tallies.inputs
    more: dict[str, float] = {}
    fewer: dict[str, float] = {}
    for (live, shadow), count in pairs.items():
        discordant = count if live != shadow else 0
        for label in (live, shadow):
            more.setdefault(label, 0)
            fewer.setdefault(label, 0)
        more[shadow] += discordant
        fewer[live] += discordant
    parts = []
    for label in sorted(more):
        shift = difference_bounds(more[label], fewer[label], n, alpha / len(more))
        # Up or down is the same to the gate.
        lower = max(shift.lower, -shift.upper, 0.0)
        bounds = Bounds(lower, max(shift.upper, -shift.lower))
        seen = abs(more[label] - fewer[label]) / n
        limit = rules.thresholds.class_mix
        parts.append(Part(f"shift of {label[:64]}", seen, bounds, limit, n))
    return decided("class_mix", parts)


def covered_segments(tallies: Tallies) -> dict[str, Tried]:
    """Return the segments that hold enough of the inputs to be judged alone."""
    least = COVERED * tallies.inputs
    return {k: v for k, v in tallies.segments.items() if v.trials >= least}


def segments(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """Return whether flips are as rare in every segment as they must be in all."""
    tallies, limit = evidence.tallies, rules.thresholds.segments
    covered = covered_segments(tallies)
    parts = [
        _share(name, tried.count, tried.trials, limit, alpha / len(covered))
        for name, tried in sorted(covered.items())
    ]
    rare = sorted(tallies.segments.keys() - covered.keys())
    note = f"under {COVERED:.0%} of inputs: {', '.join(rare[:5])}" if rare else ""
    note += f" and {len(rare) - 5} more" if len(rare) > 5 else ""
    return decided("segments", parts, note)


def latency(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """
    Return whether the shadow is about as quick as live, at three quantiles.

    The servers' own clocks are asked where most answers carry their time: only they
    measure both versions in the same way.
    """
    sketches = evidence.tallies.sketches
    server, caller = sketches.get("server"), sketches.get("caller")
    chosen, clock = caller, "requests by the caller's clock"
    if server and (not caller or server.pairs >= caller.pairs / 2):
        chosen, clock = server, "requests by the servers' clocks"
    if chosen is None:
        return decided("latency", [])
    limit = rules.thresholds.latency
    assert limit is not None
    each = alpha / len(_QUANTILES)
    parts = [
        _ratio(name, chosen, share, limit, each, clock) for name, share in _QUANTILES
    ]
    return decided("latency", parts)


def _ratio(
    name: str, sketch: Sketch, share: float, limit: float, alpha: float, unit: str
) -> Part:
    live, shadow = (
        [role.get(b, 0.0) for b in range(FINE_BUCKETS)]
        for role in (sketch.live, sketch.shadow)
    )
    our_first, our_last = quantile_buckets(live, share, alpha / 2)
    first, last = quantile_buckets(shadow, share, alpha / 2)
    shortest, longest = fine_edges_ms(our_first)[0], fine_edges_ms(our_last)[1]
    lower = fine_edges_ms(first)[0] / longest
    upper = fine_edges_ms(last)[1] / shortest if shortest else inf
    ours, its = _middle(live, share), _middle(shadow, share)
    seen = FINE_RATIO ** (its - ours)
    return Part(name, seen, Bounds(lower, upper), limit, sketch.pairs, unit)


def _middle(counts: list[float], share: float) -> int:
    """Return the bucket that holds a quantile of what was seen."""
    wanted, below = share * sum(counts), 0.0
    for bucket, count in enumerate(counts):
        below += count
        if below >= wanted:
            return bucket
    return len(counts) - 1


def labels(evidence: Evidence, rules: Rules, alpha: float) -> Gate:
    """
    Return whether the shadow is right about as often as live, where the truth is known.

    It fails by an always-valid McNemar test: among inputs on which one version alone is
    right, live is it surely more often than not. It passes when that share is surely
    below a half, or when the loss over all labelled inputs is surely below its limit.
    """
    seen = evidence.labelled
    assert seen is not None
    lost, won = seen.live_alone_right, seen.shadow_alone_right
    unit = "inputs of which one version alone is right"
    mcnemar = _share("live is right", lost, lost + won, 0.5, alpha / 2, unit)
    bounds = difference_bounds(lost, won, seen.inputs, alpha / 2)
    net = (lost - won) / seen.inputs if seen.inputs else None
    limit = rules.thresholds.labels
    loss = Part("right answers lost", net, bounds, limit, seen.inputs, "labelled")
    if State.FAIL in (mcnemar.state, loss.state):
        state = State.FAIL
    else:
        passes = State.PASS in (mcnemar.state, loss.state)
        state = State.PASS if passes else State.INCONCLUSIVE
    reason = f"{mcnemar.said}; {loss.said}"
    return Gate("labels", state, reason, (mcnemar, loss))


Judge = Callable[[Evidence, Rules, float], Gate]
GATES: dict[str, Judge] = {
    judge.__name__: judge
    for judge in (
        *(contract, errors, flips, confident_flips, distance),
        *(shifts, class_mix, segments, latency, labels),
    )
}
