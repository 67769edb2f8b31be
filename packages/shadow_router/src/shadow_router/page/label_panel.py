"""The labels worth asking for, and what those so far say, in words."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from shadow_router.store import WANTED, LabelTotals, Wanted
from shadow_router.verdict.parts import Gate, State
from shadow_router.verdict.verdict import Verdict, labels_said

#: Of the queue; whoever has labelled these gets the next.
_SHOWN = 5
#: Labels that are offered as buttons.
_MOST_CHOICES = 8
_MOST_FIELDS = 40
_SAID = {
    State.PASS: "Decided: the shadow is right about as often as live",
    State.FAIL: "Decided: the shadow is right less often than live",
    State.INCONCLUSIVE: "Not decided yet: it",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One input on which the versions disagree, and the labels it may have."""

    #: The same at each refresh.
    key: str
    request_id: str
    row: int
    #: What the versions said, in an order that does not tell which said which.
    answers: tuple[str, str]
    #: These two, and other labels.
    choices: tuple[str, ...]
    #: The input, name by name as far as it has names; empty where it is withheld.
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LabelPanel:
    """What the page says of labels; `neither` counts labels that nobody answered."""

    totals: LabelTotals
    neither: int
    #: How many wait, and whether there may be more.
    waiting: str
    said: str
    mcnemar: str
    questions: tuple[Question, ...]


def answers_of(one: Wanted, order: bytes) -> tuple[str, str]:
    """
    Return what both versions said, by a keyed hash of row and label.

    Parameters
    ----------
    one : Wanted
    order : bytes
        The key: whoever lacks it cannot tell whose answer comes first.
    """

    def place(label: str) -> bytes:
        text = f"{one.request_id}/{one.row}/{label}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=order).digest()

    first, second = sorted((one.live, one.shadow), key=place)
    return first, second


def label_panel(
    totals: LabelTotals, verdict: Verdict, labels: Iterable[str], order: bytes = b""
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
    order : bytes, optional
        Key of the order in which both versions' answers stand.
    """
    gate = next((one for one in verdict.gates if one.name == "labels"), None)
    neither = totals.flips - totals.live_alone_right - totals.shadow_alone_right
    said = _SAID[gate.state] if gate else "No labels have arrived, so nobody is judged"
    if gate and gate.state is State.INCONCLUSIVE:
        said = f"{said} {_needs(verdict)}"
    known = tuple(labels)
    questions = tuple(_question(one, known, order) for one in totals.wanted[:_SHOWN])
    n = len(totals.wanted)
    waiting = f"{n} or more" if n == WANTED else str(n)
    return LabelPanel(totals, neither, waiting, said, _mcnemar(gate), questions)


def _needs(verdict: Verdict) -> str:
    # By how fast they come nobody could say when: people give them.
    labels = verdict.missing.get("labels")
    return f"needs {labels_said(labels)}" if labels else "takes more labels"


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


def _question(one: Wanted, labels: tuple[str, ...], order: bytes) -> Question:
    key = hashlib.sha256(f"{one.request_id}/{one.row}".encode()).hexdigest()[:16]
    answers = answers_of(one, order)
    others = (name for name in labels if name not in answers)
    choices = (*answers, *islice(others, _MOST_CHOICES - len(answers)))
    fields = tuple(islice(_fields(one.input), _MOST_FIELDS))
    return Question(key, one.request_id, one.row, answers, choices, fields)


def _fields(source: bytes | None) -> Iterator[tuple[str, str]]:
    if source is None:
        return
    row = json.loads(source)
    named = row.items() if isinstance(row, dict) else [("input", row)]
    for name, value in named:
        text = value if isinstance(value, str) else json.dumps(value)
        yield name, text
