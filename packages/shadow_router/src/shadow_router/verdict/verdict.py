"""Judging the evidence: from the gates to one verdict, and how far it is off; pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from math import ceil

from shadow_router.rules.rules import DEFAULT, Rules
from shadow_router.values import COMPARED, LOST, NOT_DUE, Bounds, Fate
from shadow_router.verdict.client_share import NAME, clients_gate, why_not_asked
from shadow_router.verdict.evidence import Evidence, Lanes, Tallies, Tried, scaled
from shadow_router.verdict.gates import COVERED, GATES, Judge, covered_segments
from shadow_router.verdict.parts import Gate, State

#: Of all gates together, over all looks.
ALPHA = 0.05
#: At this loss the traffic seen no longer stands for the traffic sent.
LOSS_LIMIT = 0.01
#: Gates that fail also where the breaker left most of the traffic out. It opens while
#: the shadow fails: what it leaves out can hide faults of the shadow, not invent them.
_TOLD_ANYWAY = frozenset(("contract", "errors"))
EXIT_CODES = {
    State.PASS: 0,
    State.FAIL: 1,
    State.INCONCLUSIVE: 2,
    State.INVALID: 3,
}
#: Verdicts further off than so many times the traffic so far are not foretold.
_FURTHEST = 2.0**12
#: The gate whose evidence people give.
LABELS = "labels"
_START_AGAIN = "begin again with an empty data directory (SHADOW_ROUTER_DATA_DIR)"


@dataclass(frozen=True, slots=True)
class Eta:
    """What is missing if the evidence goes on as it began."""

    inputs: int
    #: None while no new inputs arrive, and where they have no pace.
    seconds: float | None
    has_pace: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of all gates together, in words a person can act on."""

    state: State
    reason: str
    gates: tuple[Gate, ...]
    #: Gates that were not asked, and why.
    absent: Mapping[str, str]
    loss: float
    eta: Eta | None
    #: Unique inputs that each open gate still needs, of the gate of labels how many
    #: labels; None: too far off to say.
    missing: Mapping[str, int | None]
    alpha: float

    @property
    def flip_rate(self) -> Bounds:
        """Return between which shares of unique inputs the true one lies."""
        found = next(gate for gate in self.gates if gate.name == "flips")
        return found.parts[0].bounds


def loss_of(fates: Mapping[Fate, float]) -> float:
    """Return the share of requests due for comparison that left no evidence."""
    due = sum(n for fate, n in fates.items() if fate not in NOT_DUE)
    lost = sum(fates.get(fate, 0) for fate in LOST)
    return lost / due if due else 0.0


def measurement_gate(evidence: Evidence, rules: Rules = DEFAULT) -> Gate:
    """Return whether the measurement itself can be believed."""
    reasons = list(_faults(evidence, rules))
    if reasons:
        # What is counted stays counted: no reason goes away by itself but loss, slowly.
        return Gate("measurement", State.INVALID, "; ".join((*reasons, _START_AGAIN)))
    loss = loss_of(evidence.fates)
    said = [f"{loss:.2%} lost, versions and rules unchanged"]
    said += _self_contradiction(evidence.tallies)
    said += _lanes_said(evidence.lanes)
    return Gate("measurement", State.PASS, "; ".join(said))


def _faults(evidence: Evidence, rules: Rules) -> Iterator[str]:
    yield from evidence.faults
    loss = loss_of(evidence.fates)
    if loss >= LOSS_LIMIT:
        allowed = f"it must be under {LOSS_LIMIT:.0%}"
        spared = evidence.fates.get(Fate.DROPPED_BREAKER, 0)
        absent = f": nobody answers at {evidence.shadow_url}"
        cause = absent if evidence.is_shadow_absent else ""
        why = f" ({spared:,.0f} requests by the breaker{cause})" if spared else ""
        yield f"{loss:.1%} of the traffic due was lost{why}; {allowed}"
    sides = (("live", evidence.live_versions), ("shadow", evidence.shadow_versions))
    for role, versions in sides:
        if len(versions) > 1:
            yield f"{role} answered as {', '.join(versions)}"
    if len(evidence.rules) > 1:
        yield "the rules were changed during the run"
    tallies = evidence.tallies
    if tallies.live_changes > rules.thresholds.flips * tallies.repeats:
        yield (
            f"live gave another label on {tallies.live_changes:,.0f} of "
            f"{tallies.repeats:,.0f} repeated inputs, more than the shadow may"
        )
    noise, mutants = evidence.lanes.live_against_live, evidence.lanes.mutants
    if noise and noise.count:
        counts = f"{noise.count:,.0f} of {noise.trials:,.0f}"
        yield f"live does not agree with itself on {counts} requests sent twice"
    if mutants and mutants.count < mutants.trials:
        missed = mutants.trials - mutants.count
        counts = f"{missed:,.0f} of {mutants.trials:,.0f}"
        named = f": {', '.join(evidence.lanes.missed)}" if evidence.lanes.missed else ""
        yield f"the comparison missed {counts} mutants{named}"


def _self_contradiction(tallies: Tallies) -> list[str]:
    return [
        f"{role} changed its label on {changes:,.0f} of {tallies.repeats:,.0f} repeats"
        for role, changes in (
            ("live", tallies.live_changes),
            ("shadow", tallies.shadow_changes),
        )
        if changes
    ]


def _lanes_said(lanes: Lanes) -> list[str]:
    named: tuple[tuple[str, Tried | None, str], ...] = (
        ("live-against-live lane", lanes.live_against_live, "silent"),
        ("mutant lane", lanes.mutants, "all found"),
    )
    return [
        f"{name} {f'{good} in {lane.trials:,.0f}' if lane else 'not running'}"
        for name, lane, good in named
    ]


def judge(evidence: Evidence, rules: Rules = DEFAULT, alpha: float = ALPHA) -> Verdict:
    """
    Return the verdict on the evidence so far.

    Parameters
    ----------
    evidence : Evidence
        Sums over all comparisons so far.
    rules : Rules
        What each gate allows.
    alpha : float
        Error rate of all gates together over all looks, split evenly over them.

    Returns
    -------
    Verdict
        INVALID when the measurement cannot be believed, else FAIL when some gate
        fails, PASS when all pass, and INCONCLUSIVE as long as some gate can do neither.
        FAIL also when the breaker alone spoilt the measurement and what was compared
        shows why it opened.
    """
    absent = _absent(evidence, rules)
    asked = [name for name in GATES if name not in absent]
    each = alpha / len(GATES)
    first = [measurement_gate(evidence, rules)]
    if NAME not in absent:
        first.append(clients_gate(evidence, rules))
    gates = (*first, *(GATES[name](evidence, rules, each) for name in asked))
    state = _overall(gates)
    if state is State.INVALID and _is_told_anyway(evidence, rules, gates):
        state = State.FAIL
    missing = _missing(evidence, rules, each, gates)
    is_open = state is State.INCONCLUSIVE and missing
    eta = _eta(evidence, missing) if is_open else None
    said = _missing_said(gates, missing, eta)
    reason = _reason(state, gates, evidence, said)
    if evidence.is_shadow_absent:
        reason = f"nobody answers at {evidence.shadow_url}; {reason}"
    loss = loss_of(evidence.fates)
    return Verdict(state, reason, gates, absent, loss, eta, missing, alpha)


def _absent(evidence: Evidence, rules: Rules) -> dict[str, str]:
    absent: dict[str, str] = {}
    if not rules.paths.probabilities:
        for name in ("confident_flips", "distance"):
            absent[name] = "the rules name no probabilities"
    if rules.thresholds.shifts is None:
        absent["shifts"] = f"the profile {rules.profile} allows numbers to move"
    if rules.thresholds.latency is None:
        absent["latency"] = "a replay is not timed"
    tallies = evidence.tallies
    if tallies.segments and not covered_segments(tallies):
        absent["segments"] = f"none holds {COVERED:.0%} of the inputs"
    if evidence.labelled is None:
        absent["labels"] = "no labels have arrived"
    if why := why_not_asked(evidence, rules):
        absent[NAME] = why
    return absent


def _overall(gates: tuple[Gate, ...]) -> State:
    states = {gate.state for gate in gates}
    if State.INVALID not in states and _is_of_one_client(gates):
        # Neither way: one client must not fail a version either.
        return State.INCONCLUSIVE
    for state in (State.INVALID, State.FAIL, State.INCONCLUSIVE):
        if state in states:
            return state
    return State.PASS


def _is_of_one_client(gates: tuple[Gate, ...]) -> bool:
    return any(g.name == NAME and g.state is State.INCONCLUSIVE for g in gates)


def _is_told_anyway(evidence: Evidence, rules: Rules, gates: tuple[Gate, ...]) -> bool:
    """Return whether the shadow fails, and the breaker is all that is wrong."""
    failed = {gate.name for gate in gates if gate.state is State.FAIL}
    if not failed & _TOLD_ANYWAY or _is_of_one_client(gates):
        return False
    others = {**evidence.fates, Fate.DROPPED_BREAKER: 0}
    return not list(_faults(replace(evidence, fates=others), rules))


def _missing(
    evidence: Evidence, rules: Rules, alpha: float, gates: tuple[Gate, ...]
) -> dict[str, int | None]:
    """Return how much more of the same decides each open gate."""
    tallies, inputs = evidence.tallies, evidence.tallies.inputs
    # Segments that are not judged need no scaling; there may be thousands.
    judged = replace(tallies, segments=covered_segments(tallies))
    more = cache(partial(scaled, replace(evidence, tallies=judged)))
    missing: dict[str, int | None] = {}
    for gate in gates:
        if gate.state is State.INCONCLUSIVE and gate.name in GATES:
            is_open = partial(_is_open, GATES[gate.name], more, rules, alpha)
            factor = _first_decided(is_open) if inputs else _FURTHEST
            is_far = factor >= _FURTHEST
            counted = inputs
            if gate.name == LABELS and evidence.labelled is not None:
                counted = evidence.labelled.labels
            missing[gate.name] = None if is_far else ceil(counted * (factor - 1))
    return missing


def _eta(evidence: Evidence, missing: Mapping[str, int | None]) -> Eta | None:
    """Return what decides every gate, None if that is unknown."""
    known = [n for name, n in missing.items() if n is not None and name != LABELS]
    # Labels come when somebody gives them, not with the traffic.
    is_of_labels = list(missing) == [LABELS]
    if None in missing.values() or is_of_labels:
        return None
    most, rate = max(known, default=0), evidence.inputs_per_s
    return Eta(most, most / rate if rate else None, rate is not None)


def _is_open(
    gate: Judge,
    more: Callable[[float], Evidence],
    rules: Rules,
    alpha: float,
    factor: float,
) -> bool:
    return gate(more(factor), rules, alpha).state is State.INCONCLUSIVE


def _first_decided(is_open: Callable[[float], bool]) -> float:
    low, high = 1.0, 2.0
    while is_open(high):
        low, high = high, 2 * high
        if high > _FURTHEST:
            return high
    while high - low > 0.005 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if is_open(middle) else (low, middle)
    return high


def _reason(
    state: State, gates: tuple[Gate, ...], evidence: Evidence, missing: str
) -> str:
    telling = [gate for gate in gates if gate.state is state]
    if state is State.PASS:
        inputs = f"{evidence.tallies.inputs:,.0f} unique inputs"
        return f"all {len(gates)} gates pass on {inputs}"
    if state is State.INVALID:
        return telling[0].reason
    names = ", ".join(gate.name for gate in telling)
    if state is State.FAIL:
        said = f"{names}: {telling[0].reason}"
        if gates[0].state is not State.INVALID:
            return said
        loss = loss_of(evidence.fates)
        return f"{said}; that is why {loss:.1%} of the traffic was left out"
    if not any(evidence.fates.get(fate, 0) for fate in COMPARED):
        return "no two answers have been compared yet"
    if _is_of_one_client(gates):
        failing = ", ".join(gate.name for gate in gates if gate.state is State.FAIL)
        said = f"; on that evidence {failing} would fail" if failing else ""
        return gates[1].reason + said
    return f"not yet decided: {names}; {missing}"


def _missing_said(
    gates: tuple[Gate, ...], missing: Mapping[str, int | None], eta: Eta | None
) -> str:
    labels = missing.get(LABELS)
    if None in missing.values() or not (eta or labels):
        return _far_said(gates, missing)
    said = [eta_said(eta)] if eta else []
    said += [labels_said(labels)] if labels else []
    return " and ".join(said)


def labels_said(labels: int) -> str:
    """Return in words how many more labels it takes."""
    return f"about {_rounded(labels):,} more label{'' if labels == 1 else 's'}"


def _far_said(gates: tuple[Gate, ...], missing: Mapping[str, int | None]) -> str:
    """Return why nobody can say how much the open gates still need."""
    far = [gate for gate in gates if missing.get(gate.name, 0) is None]
    if unseen := [gate.name for gate in far if not gate.has_evidence]:
        return f"no evidence yet for {', '.join(unseen)}"
    is_close = any(gate.is_close for gate in far)
    why = "too close to a limit" if is_close else "too little seen"
    return f"{why} to say how much is missing"


def eta_said(eta: Eta) -> str:
    """Return in words what is missing, and for how long at the present rate."""
    said = f"about {_rounded(eta.inputs):,} more unique inputs"
    if not eta.has_pace:
        return said
    if eta.seconds is None:
        return f"{said}; no new ones arrive now"
    return f"{said}, {duration(eta.seconds)} at this rate"


def _rounded(count: int) -> int:
    """Return two leading digits of a count: it is a forecast."""
    digits = max(len(str(count)) - 2, 0)
    return round(count, -digits)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `2 h 10 min`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"
