"""What a verdict is made from: counts, sums and sketches, and no rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from shadow_router.values import COMPARED, FAILED, Fate

UNNAMED = "the shadow's address"


@dataclass(frozen=True, slots=True)
class Tried:
    """How often something was tried, and how often it happened."""

    trials: float
    count: float


@dataclass(frozen=True, slots=True)
class Sketch:
    """Latencies of the requests that both versions were measured on, by fine bucket."""

    live: Mapping[int, float]
    shadow: Mapping[int, float]

    @property
    def pairs(self) -> float:
        """Return how many requests there are."""
        return sum(self.live.values())


@dataclass(frozen=True, slots=True)
class Tallies:
    """
    Sums that the store keeps; all but the sketches count unique inputs.

    The first answer to an input is its evidence. Later answers to the same input are
    repeats; they only say whether a version contradicts itself.
    """

    #: Unique requests that were sent to the shadow; those it failed on at first.
    requests: float = 0
    errors: float = 0
    breaks: float = 0
    #: Unique inputs by live's label and the shadow's.
    pairs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: Unique inputs with probabilities, and sums over them.
    measured: float = 0
    confident_flips: float = 0
    distance: float = 0
    squared_distance: float = 0
    shifts: float = 0
    #: Unique inputs and flips by segment.
    segments: Mapping[str, Tried] = field(default_factory=dict)
    #: By clock: `server` or `caller`.
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    repeats: float = 0
    live_changes: float = 0
    shadow_changes: float = 0

    @property
    def inputs(self) -> float:
        """Return how many unique inputs both versions labelled."""
        return sum(self.pairs.values())

    @property
    def flips(self) -> float:
        """Return how many of them got different labels."""
        return sum(n for (live, shadow), n in self.pairs.items() if live != shadow)


@dataclass(frozen=True, slots=True)
class Labelled:
    """
    Inputs whose true label has arrived.

    `inputs` counts those as well on which both agree, which need no label; `labels`
    those that have one.
    """

    inputs: float
    live_alone_right: float
    shadow_alone_right: float
    labels: float = 0


@dataclass(frozen=True, slots=True)
class Lanes:
    """
    The two lanes that test the measurement itself; None: not running.

    The first counts differences between live and itself, the second spoilt answers
    that the comparison found, each beside how many were tried.
    """

    live_against_live: Tried | None = None
    mutants: Tried | None = None
    #: Names of the mutations of which one or more were missed.
    missed: tuple[str, ...] = ()
    #: By which both lanes drew what to try.
    seeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict is made from."""

    fates: Mapping[Fate, float]
    tallies: Tallies = Tallies()
    live_versions: tuple[str, ...] = ()
    shadow_versions: tuple[str, ...] = ()
    #: Digests of all rule sets that evidence was gathered under.
    rules: tuple[str, ...] = ()
    lanes: Lanes = Lanes()
    #: None until the first label arrives.
    labelled: Labelled | None = None
    #: New unique inputs in a second, of late; None in a replay, which has no pace.
    inputs_per_s: float | None = 0.0
    #: By what is counted, and by client: who gave how much.
    clients: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    #: Without a password, to be named where nobody answers.
    shadow_url: str = UNNAMED
    #: Why these numbers themselves cannot be believed.
    faults: tuple[str, ...] = ()
    #: Whether nobody listens there now, as far as the collector knows.
    is_shadow_away: bool = False

    @property
    def refused(self) -> float:
        """Return on how many requests nobody answered at the shadow's address."""
        return self.fates.get(Fate.SHADOW_REFUSED, 0)

    @property
    def is_shadow_absent(self) -> bool:
        """Return whether nobody answers there now, or nobody ever has."""
        answered = (*COMPARED, Fate.CONTRACT_BREAK, *FAILED)
        others = sum(self.fates.get(fate, 0) for fate in answered) - self.refused
        return self.is_shadow_away or self.refused > 0 and not others


def scaled(evidence: Evidence, factor: float) -> Evidence:
    """Return the evidence there would be after so many times the traffic."""
    return replace(
        evidence,
        fates=_times(evidence.fates, factor),
        tallies=_times(evidence.tallies, factor),
        labelled=_times(evidence.labelled, factor),
    )


def _times(value: Any, factor: float) -> Any:
    # `Any` because it walks whatever the dataclasses above are made of.
    if isinstance(value, (int, float)):
        return value * factor
    if isinstance(value, Mapping):
        return {key: _times(inner, factor) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in fields(value)]
        return type(value)(*(_times(getattr(value, name), factor) for name in names))
    return value
