"""
Comparing two observations of one request: pure functions over frozen records.

The live answer is the yardstick; every way in which the shadow's answer could
surprise a client of live is a contract break with its reason.
"""

from collections.abc import Mapping
from datetime import date

from shadow_router.compare.answers import (
    Prediction,
    Table,
    media_type,
    parse_document,
    parse_prediction,
)
from shadow_router.errors import AnswerUnreadable
from shadow_router.rules.paths import Document, values_at
from shadow_router.rules.rules import Rules, Tolerance
from shadow_router.values import Difference, Fate, Observation, RowDifference

_DEEPEST = 64
_MISSING = object()


def compare(
    live: Observation, shadow: Observation, rules: Rules, day: date = date.min
) -> Difference:
    """
    Return the one fate of a request that both versions answered.

    Parameters
    ----------
    live, shadow : Observation
        Two answers to the same bytes; live's status is below 500.
    rules : Rules
        Where to look and how far apart is close.
    day : date, optional
        The day of the request, by which ignore rules expire; by default none does.

    Returns
    -------
    Difference
        With rows only when both answers could be read.
    """
    if shadow.status >= 500:
        return Difference(Fate.SHADOW_ERROR, f"status {shadow.status}")
    if reason := _envelope_break(live, shadow):
        return Difference(Fate.CONTRACT_BREAK, reason)
    if not 200 <= live.status < 300:
        return _compare_refusals(live.body, shadow.body, rules.ignored_on(day))
    if live.json_bytes is None and media_type(live) != "application/json":
        is_same = live.body == shadow.body
        return _same() if is_same else _break("body differs and is not JSON")
    return _compare_predictions(live, shadow, rules, rules.ignored_on(day))


def _same() -> Difference:
    return Difference(Fate.MATCH)


def _break(reason: str) -> Difference:
    return Difference(Fate.CONTRACT_BREAK, reason)


def _envelope_break(live: Observation, shadow: Observation) -> str:
    if live.status != shadow.status:
        return f"status {shadow.status} instead of {live.status}"
    is_same_type = live.content_type == shadow.content_type
    if not is_same_type and media_type(live) != media_type(shadow):
        return (
            f"content type {media_type(shadow) or 'missing'} "
            f"instead of {media_type(live) or 'missing'}"
        )
    if (live.json_bytes is None) is not (shadow.json_bytes is None):
        is_extra = live.json_bytes is None
        return f"binary tensors are {'extra' if is_extra else 'missing'}"
    if live.content_encoding or shadow.content_encoding:
        for role, observation in (("live", live), ("shadow", shadow)):
            if observation.content_encoding not in ("", "identity"):
                return f"{role} answered with content encoding, which is not undone"
    return ""


def _compare_refusals(
    live: bytes, shadow: bytes, ignored: frozenset[str]
) -> Difference:
    """Return whether both refused in the same form; texts are not compared."""
    if live == shadow:
        return _same()
    ours, theirs = map(_document_or_text, (live, shadow))
    reason = shape_difference(ours, theirs, ignored)
    return _break(reason) if reason else _same()


def _document_or_text(body: bytes) -> Document:
    try:
        return parse_document(body)
    except AnswerUnreadable:
        return ""


def _compare_predictions(
    live: Observation, shadow: Observation, rules: Rules, ignored: frozenset[str]
) -> Difference:
    is_same = live.body == shadow.body and live.json_bytes == shadow.json_bytes
    try:
        ours = parse_prediction(live.body, rules, live.json_bytes)
    except AnswerUnreadable as error:
        return _break(f"live: {error}")
    try:
        # The same bytes say the same; most of the work is reading them.
        theirs = ours
        if not is_same:
            theirs = parse_prediction(shadow.body, rules, shadow.json_bytes)
    except AnswerUnreadable as error:
        found = _break(str(error))
        return found._replace(live_version=ours.version, live_digest=ours.digest)
    told = (ours.version, theirs.version, ours.digest, theirs.digest)
    may_differ = theirs is not ours or _may_be_deep(live.body)
    if may_differ and (reason := _shape_break(ours, theirs, ignored)):
        return Difference(Fate.CONTRACT_BREAK, reason, (), None, *told)
    rows, max_delta = _rows(ours, theirs, rules.probability_tolerance)
    reason = ""
    if rules.field_tolerances:
        both = (ours.document, theirs.document)
        reason = _fields_beyond(*both, rules.field_tolerances)
    if reason:
        # A field need not belong to one row; any of them may be the reason.
        rows = [row._replace(is_shifted=True) for row in rows]
    fate = _fate(rows, max_delta)
    return Difference(fate, reason, tuple(rows), max_delta, *told)


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"{") + body.count(b"[") > _DEEPEST


def _shape_break(live: Prediction, shadow: Prediction, ignored: frozenset[str]) -> str:
    if len(live.labels) != len(shadow.labels):
        return f"{len(shadow.labels)} rows instead of {len(live.labels)}"
    rows = zip(live.probabilities, shadow.probabilities, strict=True)
    for row, (ours, theirs) in enumerate(rows):
        if ours.keys() != theirs.keys():
            return f"row {row}: {_names_differ(ours, theirs, 'class')}"
    if _is_same_shape(live.document, shadow.document):
        return ""
    return shape_difference(live.document, shadow.document, ignored)


def _names_differ(
    live: Mapping[str, object], shadow: Mapping[str, object], noun: str
) -> str:
    missing = sorted(live.keys() - shadow.keys())
    extra = sorted(shadow.keys() - live.keys())
    if missing and extra:
        return f"{noun} {missing[0][:64]} became {extra[0][:64]}"
    name = (missing or extra)[0][:64]
    return f"{noun} {name} is {'missing' if missing else 'extra'}"


def shape_difference(
    live: Document,
    shadow: Document,
    ignored: frozenset[str] = frozenset(),
    at: str = "",
    path: str = "",
) -> str:
    """
    Return how two JSON documents differ in fields and types, or an empty string.

    Values may differ, and so may the lengths of arrays: the rows themselves are
    counted by their labels, and other arrays (warnings, say) depend on the version.

    Parameters
    ----------
    live, shadow : Document
        Two values of the same place.
    ignored : frozenset of str
        Paths such as `predictions[].note` below which nothing is looked at.
    at, path : str
        The place as a JSON pointer, and as a path of the rules.
    """
    where = at or "the document"
    if _kind(live) != _kind(shadow):
        return f"{where} is {_kind(shadow)} instead of {_kind(live)}"
    if at.count("/") > _DEEPEST:
        return f"the document is nested more than {_DEEPEST} deep"
    if isinstance(live, dict):
        dot = f"{path}." if path else ""
        kept = {k: v for k, v in live.items() if f"{dot}{k}" not in ignored}
        theirs = {k: v for k, v in shadow.items() if f"{dot}{k}" not in ignored}
        if kept.keys() != theirs.keys():
            return f"{where}: {_names_differ(kept, theirs, 'field')}"
        steps = [(str(k), f"{dot}{k}", kept[k], theirs[k]) for k in kept]
    elif isinstance(live, list):
        joined = enumerate(zip(live, shadow, strict=False))
        steps = [(str(row), f"{path}[]", *both) for row, both in joined]
    else:
        return ""
    for step, below, ours, its in steps:
        if reason := shape_difference(ours, its, ignored, f"{at}/{step}", below):
            return reason
    return ""


def _is_same_shape(live: Document, shadow: Document, depth: int = 0) -> bool:
    """Return whether there is surely no difference: quick, and names nothing."""
    # Written out for both kinds: most of the time that a comparison takes is here.
    if type(live) is not type(shadow) or depth >= _DEEPEST:
        return False
    if type(live) is dict:
        if len(live) != len(shadow):
            return False
        for name, ours in live.items():
            its = shadow.get(name, _MISSING)
            kind = type(ours)
            if type(its) is not kind:
                return False
            if (kind is dict or kind is list) and (ours or its):
                if not _is_same_shape(ours, its, depth + 1):
                    return False
    elif type(live) is list:
        for ours, its in zip(live, shadow, strict=False):
            kind = type(ours)
            if type(its) is not kind:
                return False
            if (kind is dict or kind is list) and (ours or its):
                if not _is_same_shape(ours, its, depth + 1):
                    return False
    return True


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


def _rows(
    live: Prediction, shadow: Prediction, tolerance: Tolerance
) -> tuple[list[RowDifference], float]:
    """Return both versions row by row, and their largest difference."""
    labels = zip(live.labels, shadow.labels, strict=True)
    if not live.probabilities:
        return [RowDifference(*both) for both in labels], 0.0
    rows: list[RowDifference] = []
    max_delta = 0.0
    tables = zip(labels, live.probabilities, shadow.probabilities, strict=True)
    for both, ours, theirs in tables:
        row, delta = _row(both, ours, theirs, tolerance)
        if delta > max_delta:
            max_delta = delta
        rows.append(row)
    return rows, max_delta


def _row(
    labels: tuple[str, str], live: Table, shadow: Table, tolerance: Tolerance
) -> tuple[RowDifference, float]:
    """Return both versions of one row, and its largest difference."""
    atol, rtol = tolerance.atol, tolerance.rtol
    total = largest = 0.0
    is_shifted = False
    for name, ours in live.items():
        its = shadow[name]
        if its != ours:
            delta = abs(its - ours)
            total += delta
            if delta > largest:
                largest = delta
            is_shifted = is_shifted or delta > atol + rtol * abs(ours)
    # Scores of independent classes may differ by more than 1 in all.
    distance = min(total / 2, 1.0)
    return RowDifference(*labels, distance, _margin(live), is_shifted), largest


def _fields_beyond(
    live: Document, shadow: Document, tolerances: tuple[Tolerance, ...]
) -> str:
    """Return which field lies beyond its tolerance, or an empty string."""
    for rule in tolerances:
        try:
            ours, theirs = values_at(live, rule.field), values_at(shadow, rule.field)
        except AnswerUnreadable as error:
            return str(error)
        if len(ours) != len(theirs):
            return f"{rule.field}: {len(theirs)} values instead of {len(ours)}"
        for one, other in zip(ours, theirs, strict=True):
            if not _is_close(one, other, rule):
                return f"{rule.field} is beyond its tolerance"
    return ""


def _is_close(live: Document, shadow: Document, rule: Tolerance) -> bool:
    both = (live, shadow)
    is_number = all(type(value) in (int, float) for value in both)
    if live == shadow or not is_number:
        return bool(live == shadow)
    try:
        return bool(abs(shadow - live) <= rule.atol + rule.rtol * abs(live))
    except OverflowError:
        # A whole number that no float can hold is close to nothing else.
        return False


def _fate(rows: list[RowDifference], max_delta: float) -> Fate:
    is_shifted = False
    for row in rows:
        if row.live != row.shadow:
            return Fate.LABEL_FLIP
        is_shifted = is_shifted or row.is_shifted
    if is_shifted:
        return Fate.PROBA_SHIFT
    return Fate.MATCH if max_delta == 0.0 else Fate.WITHIN_TOLERANCE


def _margin(probabilities: Table) -> float:
    """Return how far the most likely class is ahead of the next."""
    ordered = sorted(probabilities.values())
    return ordered[-1] - ordered[-2] if len(ordered) > 1 else ordered[-1]
