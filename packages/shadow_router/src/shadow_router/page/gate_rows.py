"""The gates as a person reads them: a question, an answer, and what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass

from shadow_router.page.scales import Interval, interval
from shadow_router.verdict.parts import Gate
from shadow_router.verdict.verdict import LABELS, Eta, Verdict, eta_said, labels_said

QUESTIONS = {
    "measurement": "Can the measurement itself be believed?",
    "clients": "Is the evidence that of more than one client?",
    "contract": "Do the shadow's answers keep live's shape?",
    "errors": "Does the shadow answer where live does?",
    "flips": "Do few enough inputs change their label?",
    "confident_flips": "Do few change of which live was sure?",
    "distance": "Are the probabilities close on average?",
    "shifts": "Are few inputs beyond their tolerance?",
    "class_mix": "Is each class answered about as often?",
    "segments": "Are flips as rare in every segment?",
    "latency": "Is the shadow about as quick?",
    "labels": "Is the shadow right as often, where the truth is known?",
}
_PARTS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate, its deciding part first among its intervals."""

    name: str
    question: str
    #: In small letters, or `absent`.
    state: str
    reason: str
    intervals: tuple[Interval, ...]
    #: Parts beyond those shown.
    hidden: int
    missing: str


def gate_rows(verdict: Verdict, inputs_per_s: float | None) -> Iterator[GateRow]:
    """Yield all gates, those that were not asked last."""
    for gate in verdict.gates:
        worst = gate.worst
        parts = sorted(gate.parts, key=lambda part: part is not worst)
        yield GateRow(
            name=gate.name,
            question=QUESTIONS[gate.name],
            state=gate.state.value.lower(),
            reason=gate.reason,
            intervals=tuple(map(interval, parts[:_PARTS_SHOWN])),
            hidden=max(len(parts) - _PARTS_SHOWN, 0),
            missing=_missing(gate, verdict, inputs_per_s),
        )
    for name, why in verdict.absent.items():
        yield GateRow(name, QUESTIONS[name], "absent", why, (), 0, "")


def _missing(gate: Gate, verdict: Verdict, inputs_per_s: float | None) -> str:
    # Where there are no parts, the reason is that there is no evidence.
    if gate.name not in verdict.missing or not gate.parts:
        return ""
    inputs = verdict.missing[gate.name]
    if not gate.has_evidence:
        return "has no evidence yet"
    if inputs is None:
        why = "is too close to its limit" if gate.is_close else "has seen too little"
        return f"{why} to say how much more it needs"
    if gate.name == LABELS:
        return f"needs {labels_said(inputs)}"
    seconds = inputs / inputs_per_s if inputs_per_s else None
    return f"needs {eta_said(Eta(inputs, seconds))}"
