"""
Comparing two observations of one request: pure functions over frozen records.

The live answer is the yardstick; every way in which the shadow's answer could
surprise a client of live is a contract break with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shadow_router.answers import (
    AnswerPaths,
    Document,
    Prediction,
    media_type,
    parse_prediction,
)
from shadow_router.errors import AnswerUnreadable
from shadow_router.records import Difference, Fate, Observation


@dataclass(frozen=True, slots=True)
class Rules:
    """Where to look, and how far probabilities may be apart."""

    paths: AnswerPaths
    atol: float
    rtol: float


def compare(live: Observation, shadow: Observation, rules: Rules) -> Difference:
    """
    Return the one fate of a request that both versions answered.

    Parameters
    ----------
    live, shadow : Observation
        Two answers to the same bytes; live's status is below 500.
    rules : Rules
        Paths and tolerances: two probabilities agree when
        ``|shadow - live| <= atol + rtol * |live|``.

    Returns
    -------
    Difference
        With labels and distances only when both answers could be read.
    """
    if shadow.status >= 500:
        return Difference(Fate.SHADOW_ERROR, f"status {shadow.status}")
    if reason := _envelope_break(live, shadow):
        return Difference(Fate.CONTRACT_BREAK, reason)
    if not 200 <= live.status < 300:
        # Both refused in the same way; the texts of refusals are not compared.
        return Difference(Fate.MATCH)
    if media_type(live) != "application/json":
        is_same = live.body == shadow.body
        return _same() if is_same else _break("body differs and is not JSON")
    return _compare_predictions(live.body, shadow.body, rules)


def _same() -> Difference:
    return Difference(Fate.MATCH)


def _break(reason: str) -> Difference:
    return Difference(Fate.CONTRACT_BREAK, reason)


def _envelope_break(live: Observation, shadow: Observation) -> str:
    if live.status != shadow.status:
        return f"status {shadow.status} instead of {live.status}"
    if media_type(live) != media_type(shadow):
        return (
            f"content type {media_type(shadow) or 'missing'} "
            f"instead of {media_type(live) or 'missing'}"
        )
    for role, observation in (("live", live), ("shadow", shadow)):
        if observation.content_encoding not in ("", "identity"):
            return f"{role} answered with content encoding, which is not undone"
    return ""


def _compare_predictions(live: bytes, shadow: bytes, rules: Rules) -> Difference:
    try:
        ours = parse_prediction(live, rules.paths)
    except AnswerUnreadable as error:
        return _break(f"live: {error}")
    try:
        theirs = parse_prediction(shadow, rules.paths)
    except AnswerUnreadable as error:
        return replace(_break(str(error)), live_version=ours.version)
    versions = Difference(
        Fate.MATCH, live_version=ours.version, shadow_version=theirs.version
    )
    reason = _shape_break(ours, theirs, rules.paths)
    if reason:
        return replace(versions, fate=Fate.CONTRACT_BREAK, reason=reason)
    return _measure(ours, theirs, rules, versions)


def _shape_break(live: Prediction, shadow: Prediction, paths: AnswerPaths) -> str:
    if len(live.labels) != len(shadow.labels):
        return f"{len(shadow.labels)} rows instead of {len(live.labels)}"
    rows = zip(live.probabilities, shadow.probabilities, strict=True)
    for row, (ours, theirs) in enumerate(rows):
        if ours.keys() != theirs.keys():
            return f"row {row}: {_names_differ(ours, theirs, 'class')}"
    return shape_difference(live.document, shadow.document)


def _names_differ(
    live: Mapping[str, object], shadow: Mapping[str, object], noun: str
) -> str:
    missing = sorted(live.keys() - shadow.keys())
    extra = sorted(shadow.keys() - live.keys())
    if missing and extra:
        return f"{noun} {missing[0][:64]} became {extra[0][:64]}"
    name = (missing or extra)[0][:64]
    return f"{noun} {name} is {'missing' if missing else 'extra'}"


def shape_difference(live: Document, shadow: Document, at: str = "") -> str:
    """
    Return how two JSON documents differ in fields and types, or an empty string.

    Values may differ, and so may the lengths of arrays: the rows themselves are
    counted by their labels, and other arrays (warnings, say) depend on the version.
    """
    where = at or "the document"
    if _kind(live) != _kind(shadow):
        return f"{where} is {_kind(shadow)} instead of {_kind(live)}"
    if isinstance(live, dict):
        if live.keys() != shadow.keys():
            return f"{where}: {_names_differ(live, shadow, 'field')}"
        pairs = [(f"{at}/{key}", live[key], shadow[key]) for key in live]
    elif isinstance(live, list):
        joined = enumerate(zip(live, shadow, strict=False))
        pairs = [(f"{at}/{row}", ours, theirs) for row, (ours, theirs) in joined]
    else:
        return ""
    for path, ours, theirs in pairs:
        if reason := shape_difference(ours, theirs, path):
            return reason
    return ""


def _kind(value: Document) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, dict) else "an array"


def _measure(
    live: Prediction, shadow: Prediction, rules: Rules, versions: Difference
) -> Difference:
    labels = tuple(zip(live.labels, shadow.labels, strict=True))
    max_delta = total_variation = 0.0
    is_close = True
    margins: list[tuple[bool, float]] = []
    rows = zip(labels, live.probabilities, shadow.probabilities, strict=True)
    for (ours, theirs), p, q in rows:
        deltas = [abs(q[name] - p[name]) for name in p]
        max_delta = max(max_delta, *deltas)
        total_variation = max(total_variation, sum(deltas) / 2)
        limits = (rules.atol + rules.rtol * abs(value) for value in p.values())
        is_close &= all(d <= limit for d, limit in zip(deltas, limits, strict=True))
        # Rows that flipped sort first, so that the minimum is of theirs.
        margins.append((ours == theirs, _margin(p)))
    return replace(
        versions,
        fate=_fate(labels, max_delta, is_close),
        labels=labels,
        max_delta=max_delta,
        total_variation=total_variation,
        live_margin=min(margins)[1] if margins else None,
    )


def _fate(
    labels: tuple[tuple[str, str], ...], max_delta: float, is_close: bool
) -> Fate:
    if any(ours != theirs for ours, theirs in labels):
        return Fate.LABEL_FLIP
    if max_delta == 0.0:
        return Fate.MATCH
    return Fate.WITHIN_TOLERANCE if is_close else Fate.PROBA_SHIFT


def _margin(probabilities: Mapping[str, float]) -> float:
    """Return how far the most likely class is ahead of the next."""
    best, *others = sorted(probabilities.values(), reverse=True)
    return best - others[0] if others else best
