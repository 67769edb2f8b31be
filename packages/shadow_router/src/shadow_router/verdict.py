"""Judging the evidence: pure functions from counts to bounds and a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import lgamma, log

from shadow_router.records import COMPARED, LOST, SKIPPED, Bounds, Fate

ALPHA = 0.05
#: More loss than this and the traffic seen no longer stands for the traffic sent.
LOSS_LIMIT = 0.01


class State(StrEnum):
    """What may be said of a gate, or of all of them."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Gate:
    """One question to the evidence and its answer."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict is made from."""

    fates: Mapping[Fate, int]
    unique_inputs: int
    unique_flips: int
    live_versions: tuple[str, ...]
    shadow_versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of all gates together, in words a person can act on."""

    state: State
    reason: str
    gates: tuple[Gate, ...]
    loss: float
    flip_rate: Bounds
    alpha: float


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def flip_rate_bounds(flips: int, inputs: int, alpha: float) -> Bounds:
    """
    Return a confidence sequence for the share of unique inputs whose label changes.

    Parameters
    ----------
    flips, inputs : int
        Unique inputs on which the labels differ, and all unique inputs;
        0 <= flips <= inputs.
    alpha : float
        Error rate over all looks together, between 0 and 1.

    Returns
    -------
    Bounds
        Lower and upper bound, each between 0.0 and 1.0; (0.0, 1.0) when inputs is 0.

    Raises
    ------
    ValueError
        If flips is negative or exceeds inputs, or alpha is not between 0 and 1.

    Notes
    -----
    Beta(1/2, 1/2)-binomial mixture; Robbins (1970), Howard et al. (2021).
    """
    if not 0 <= flips <= inputs:
        raise ValueError("flips must be between 0 and inputs")
    if not 0 < alpha < 1:
        raise ValueError("alpha must be between 0 and 1")
    if inputs == 0:
        return Bounds(0.0, 1.0)
    keeps = inputs - flips
    mixture = _log_beta(0.5 + flips, 0.5 + keeps) - _log_beta(0.5, 0.5)
    limit = log(1 / alpha)

    def is_inside(p: float) -> bool:
        return mixture - flips * log(p) - keeps * log(1 - p) < limit

    share = flips / inputs
    lower = 0.0 if flips == 0 else _edge(is_inside, inside=share, outside=0.0)
    upper = 1.0 if keeps == 0 else _edge(is_inside, inside=share, outside=1.0)
    return Bounds(lower, upper)


def _edge(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    # The log E-value is convex in p with its least value at the observed share, so
    # one crossing lies on each side. The ends 0 and 1 themselves are never tried.
    for _ in range(100):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside


def loss_of(fates: Mapping[Fate, int]) -> float:
    """Return the share of requests due for comparison that left no evidence."""
    due = sum(n for fate, n in fates.items() if fate not in SKIPPED)
    lost = sum(fates.get(fate, 0) for fate in LOST)
    return lost / due if due else 0.0


def measurement_gate(evidence: Evidence) -> Gate:
    """Return whether the measurement itself can be believed."""
    loss = loss_of(evidence.fates)
    if loss > LOSS_LIMIT:
        reason = f"{loss:.1%} of the traffic due was lost; at most {LOSS_LIMIT:.0%} may"
        return Gate("measurement", State.INVALID, reason)
    sides = (("live", evidence.live_versions), ("shadow", evidence.shadow_versions))
    for role, versions in sides:
        if len(versions) > 1:
            reason = (
                f"{role} answered as {', '.join(versions)}; "
                "begin again with an empty data directory"
            )
            return Gate("measurement", State.INVALID, reason)
    return Gate("measurement", State.PASS, f"{loss:.2%} lost, versions unchanged")


def judge(evidence: Evidence, alpha: float = ALPHA) -> Verdict:
    """
    Return the verdict on the evidence so far.

    Only the measurement gate is decided yet; with it green the verdict is
    INCONCLUSIVE and says how far the evidence has come.
    """
    gate = measurement_gate(evidence)
    bounds = flip_rate_bounds(evidence.unique_flips, evidence.unique_inputs, alpha)
    if gate.state is State.INVALID:
        state, reason = State.INVALID, gate.reason
    else:
        state, reason = State.INCONCLUSIVE, _progress(evidence, bounds, alpha)
    loss = loss_of(evidence.fates)
    return Verdict(state, reason, (gate,), loss, bounds, alpha)


def _progress(evidence: Evidence, bounds: Bounds, alpha: float) -> str:
    if not any(evidence.fates.get(fate, 0) for fate in COMPARED):
        return "no two answers have been compared yet"
    if not evidence.unique_inputs:
        return "no answers with labels have been compared yet"
    return (
        f"{evidence.unique_flips:,} of {evidence.unique_inputs:,} unique inputs "
        f"changed label, so the true share lies between {bounds.lower:.2%} and "
        f"{bounds.upper:.2%} (error rate {alpha:.0%} over all looks); "
        "a person decides, since this version has no threshold to pass"
    )
