"""The labels worth asking for, and what those so far say, in words."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from shadow_router.parts import Gate, State
from shadow_router.store import LabelTotals, Wanted
from shadow_router.verdict import Verdict

#: Of the queue; whoever has labelled these gets the next.
_SHOWN = 5
#: Labels that are offered as buttons.
_MOST_CHOICES = 8
_MOST_FIELDS = 40
_SAID = {
    State.PASS: "Decided: the shadow is right about as often as live",
    State.FAIL: "Decided: the shadow is right less often than live",
    State.INCONCLUSIVE: "Not decided yet: it takes more labels",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One input on which the versions disagree, and the labels it may have."""

    #: The same at each refresh.
    key: str
    wanted: Wanted
    choices: tuple[str, ...]
    #: The input, name by name as far as it has names; empty where it is withheld.
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LabelPanel:
    """What the page says of labels; `neither` counts labels that nobody answered."""

    totals: LabelTotals
    neither: int
    said: str
    mcnemar: str
    questions: tuple[Question, ...]


def label_panel(
    totals: LabelTotals, verdict: Verdict, labels: Iterable[str]
) -> LabelPanel:
    """
    Return the panel.

    Parameters
    ----------
    totals : LabelTotals
        The labels so far, and the queue.
    verdict : Verdict
        Has a gate of labels once the first has arrived.
    labels : iterable of str
        Labels that were seen, the first of them offered as answers.
    """
    gate = next((one for one in verdict.gates if one.name == "labels"), None)
    neither = totals.flips - totals.live_alone_right - totals.shadow_alone_right
    said = _SAID[gate.state] if gate else "No labels have arrived, so nobody is judged"
    known = tuple(labels)
    questions = tuple(_question(one, known) for one in totals.wanted[:_SHOWN])
    return LabelPanel(totals, neither, said, _mcnemar(gate), questions)


def _mcnemar(gate: Gate | None) -> str:
    part = gate.parts[0] if gate else None
    if part is None or part.seen is None:
        return ""
    low, high = part.bounds.lower, part.bounds.upper
    return (
        f"Inputs on which one version alone is right: {part.n:,.0f}; live is it in "
        f"{part.seen:.0%} of them, truly between {low:.0%} and {high:.0%}. "
        "Surely over half would mean that the shadow is worse"
    )


def _question(one: Wanted, labels: tuple[str, ...]) -> Question:
    key = hashlib.sha256(f"{one.request_id}/{one.row}".encode()).hexdigest()[:16]
    choices = tuple(_choices(one, labels))[:_MOST_CHOICES]
    return Question(key, one, choices, tuple(islice(_fields(one.input), _MOST_FIELDS)))


def _fields(source: bytes | None) -> Iterator[tuple[str, str]]:
    if source is None:
        return
    row = json.loads(source)
    named = row.items() if isinstance(row, dict) else [("input", row)]
    for name, value in named:
        text = value if isinstance(value, str) else json.dumps(value)
        yield name, text


def _choices(one: Wanted, labels: tuple[str, ...]) -> Iterator[str]:
    """Yield what both versions say, whose names are at hand, and then the others."""
    yield one.live
    yield one.shadow
    yield from (name for name in labels if name not in (one.live, one.shadow))
