"""
What a gate is made of; pure.

A gate asks one or more parts, each a quantity with bounds and a limit. It fails when
some part is surely above its limit and passes when every part is surely below. The
error rate of a gate is split over its parts, so that all bounds hold together.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from shadow_router.values import Bounds


class State(StrEnum):
    """What may be said of a gate, or of all of them."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Part:
    """One bounded quantity; `seen` is its value so far, over `n` of `unit`."""

    name: str
    seen: float | None
    bounds: Bounds
    limit: float
    n: float
    unit: str = "unique inputs"

    @property
    def state(self) -> State:
        """Return on which side of the limit the whole interval lies, if on one."""
        if self.bounds.lower > self.limit:
            return State.FAIL
        return State.PASS if self.bounds.upper < self.limit else State.INCONCLUSIVE

    @property
    def said(self) -> str:
        """Return the part in words."""
        if self.seen is None:
            return f"{self.name}: no evidence yet"
        is_ratio = self.limit > 1
        show, among = (_times, "live's, over") if is_ratio else (_percent, "of")
        return (
            f"{self.name}: {show(self.seen)} {among} {self.n:,.0f} {self.unit}, truly "
            f"between {show(self.bounds.lower)} and {show(self.bounds.upper)}; "
            f"limit {show(self.limit)}"
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """One question to the evidence and its answer."""

    name: str
    state: State
    reason: str
    parts: tuple[Part, ...] = ()

    @property
    def has_evidence(self) -> bool:
        """Return whether anything was counted for it."""
        return any(part.n for part in self.parts)

    @property
    def is_close(self) -> bool:
        """Return whether what was seen lies near a limit, on either side of it."""
        return any(
            part.seen is not None and part.limit / 2 <= part.seen <= part.limit * 2
            for part in self.parts
        )

    @property
    def worst(self) -> Part | None:
        """Return the part that decides: above its limit, or closest to it."""
        return max(self.parts, key=_urgency, default=None)


def _urgency(part: Part) -> tuple[bool, float]:
    return part.state is State.FAIL, part.bounds.upper / part.limit


def decided(name: str, parts: list[Part], note: str = "") -> Gate:
    """Return the gate that these parts make; without any it is inconclusive."""
    if not parts:
        return Gate(name, State.INCONCLUSIVE, note or "no evidence yet")
    states = {part.state for part in parts}
    if State.FAIL in states:
        state = State.FAIL
    else:
        state = State.PASS if states == {State.PASS} else State.INCONCLUSIVE
    gate = Gate(name, state, "", tuple(parts))
    assert gate.worst is not None
    said = "; ".join(text for text in (gate.worst.said, note) if text)
    return Gate(name, state, said, tuple(parts))


def _percent(share: float) -> str:
    return f"{share:.3%}" if abs(share) < 0.01 else f"{share:.2%}"


def _times(ratio: float) -> str:
    return "any ratio" if ratio == inf else f"{ratio:.2f} ×"
