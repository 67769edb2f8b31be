"""
Spoiling an answer in a way that a comparison must notice; pure.

Each mutation takes an answer that agrees with live's and returns one that does not, or
None where the answer holds nothing that it could spoil. What is spoilt is drawn by a
number, so that the same number spoils the same answer in the same way.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

from shadow_router.compare.answers import media_type, parse_document
from shadow_router.errors import AnswerUnreadable
from shadow_router.rules.paths import Document, Step, is_tensor, parse_path, values_at
from shadow_router.rules.rules import Rules
from shadow_router.values import Observation

#: Where a value is kept: an object and a key of it, or an array and a place in it.
#: `Any` because both are what json.loads made of a stranger's bytes.
Slot = tuple[Any, Any]
Change = Callable[[Document, Rules, int], bool]
Mutation = Callable[[Observation, Rules, int], Observation | None]
#: So many times the tolerance: the unspoilt answer may be one of them away already.
_BEYOND = 4
_LEAST_SHIFT = 1e-9


@dataclass(frozen=True, slots=True)
class Mutant:
    """A spoilt answer and what was done to it."""

    name: str
    answer: Observation


def mutate(answer: Observation, rules: Rules, draw: int) -> Mutant | None:
    """
    Return the answer spoilt in one way, None if there is none for it.

    Parameters
    ----------
    answer : Observation
        A successful answer that agrees with live's under the rules.
    rules : Rules
        Where labels and probabilities are, and what is beyond tolerance.
    draw : int
        Chooses the mutation, and what it spoils; at least 0.
    """
    names = list(MUTATIONS)
    chosen, rest = draw % len(names), draw // len(names)
    for name in names[chosen:] + names[:chosen]:
        changed = MUTATIONS[name](answer, rules, rest)
        if changed is not None:
            return Mutant(name, changed)
    return None


def _slots(document: Document, path: str) -> list[Slot]:
    """Return where the values at a path are kept."""
    slots: list[Slot] = [([document], 0)]
    for step in parse_path(path):
        slots = [inner for slot in slots for inner in _inner(slot, step)]
    return slots


def _inner(slot: Slot, step: Step) -> Iterator[Slot]:
    owner, key = slot
    if step.name:
        owner, key = owner[key], step.name
    if not step.is_array:
        yield owner, key
        return
    array = owner[key]
    if step.key:
        named = (at for at, one in enumerate(array) if one.get("name") == step.key)
        at = next(named)
        if not is_tensor(array[at]):
            yield array, at
            return
        array = array[at]["data"]
    for at in range(len(array)):
        yield array, at


def _labels(document: Document, rules: Rules) -> list[Slot]:
    return _slots(document, rules.paths.label)


def _probabilities(document: Document, rules: Rules) -> list[Slot]:
    if not rules.paths.probabilities:
        return []
    numbers: list[Slot] = []
    for owner, key in _slots(document, rules.paths.probabilities):
        table = owner[key]
        if isinstance(table, dict):
            numbers += [(table, name) for name in table]
        elif isinstance(table, list):
            numbers += [(table, at) for at in range(len(table))]
        else:
            numbers.append((owner, key))
    return numbers


def _rows(document: Document, rules: Rules) -> list[Slot]:
    """Return the rows that the labels belong to, none if the path steps into none."""
    path = rules.paths.label
    if "]" not in path:
        return []
    slots = _slots(document, path[: path.index("]") + 1])
    return [slot for slot in slots if isinstance(slot[0], list)]


def _fields(document: Document, rules: Rules) -> list[Slot]:
    """Return fields that no rule ignores, of the document and of its first row."""
    ignored = {rule.field for rule in rules.ignore}
    found: list[Slot] = []
    if isinstance(document, dict):
        found += [(document, name) for name in document if name not in ignored]
    above, _, last = rules.paths.label.rpartition(".")
    if above and not last.endswith("]"):
        row, _ = _labels(document, rules)[0]
        found += [(row, name) for name in row if f"{above}.{name}" not in ignored]
    return found


def _one_of(slots: list[Slot], draw: int) -> Slot | None:
    return slots[draw % len(slots)] if slots else None


# Each returns whether it changed the document.


def _another_label(document: Document, rules: Rules, draw: int) -> bool:
    slots = _labels(document, rules)
    if not slots:
        return False
    at = draw % len(slots)
    before = values_at(document, rules.paths.label)[at]
    owner, key = slots[at]
    if isinstance(before, int):
        after: int | str = before + 1
    else:
        names = _class_names(document, rules) - {before}
        after = sorted(names)[0] if names else before[:200] + "-"
    owner[key] = [after] if isinstance(owner[key], list) else after
    return True


def _class_names(document: Document, rules: Rules) -> set[str]:
    slots = _probabilities(document, rules)
    return {key for owner, key in slots if isinstance(owner, dict)}


def _swap_rows(document: Document, rules: Rules, draw: int) -> bool:
    rows, labels = _rows(document, rules), values_at(document, rules.paths.label)
    if len(rows) != len(labels):
        return False
    others = [at for at, label in enumerate(labels) if label != labels[0]]
    if not others:
        return False
    (one, at), (other, beside) = rows[0], rows[others[draw % len(others)]]
    one[at], other[beside] = other[beside], one[at]
    return True


def _drop_row(document: Document, rules: Rules, draw: int) -> bool:
    if (row := _one_of(_rows(document, rules), draw)) is None:
        return False
    del row[0][row[1]]
    return True


def _repeat_row(document: Document, rules: Rules, draw: int) -> bool:
    if (row := _one_of(_rows(document, rules), draw)) is None:
        return False
    row[0].insert(row[1], row[0][row[1]])
    return True


def _shift(document: Document, rules: Rules, draw: int) -> bool:
    if (slot := _one_of(_probabilities(document, rules), draw)) is None:
        return False
    owner, key = slot
    before, allowed = owner[key], rules.probability_tolerance
    step = max(_BEYOND * (allowed.atol + allowed.rtol * before), _LEAST_SHIFT)
    after = before + step if before + step <= 1 else before - step
    owner[key] = after
    return bool(after >= 0)


def _set_probability(value: Callable[[float], object]) -> Change:
    def change(document: Document, rules: Rules, draw: int) -> bool:
        if (slot := _one_of(_probabilities(document, rules), draw)) is None:
            return False
        owner, key = slot
        owner[key] = value(owner[key])
        return True

    return change


def _rename_class(document: Document, rules: Rules, draw: int) -> bool:
    tables = _probabilities(document, rules)
    named = [slot for slot in tables if isinstance(slot[0], dict)]
    return _rename(_one_of(named, draw))


def _rename_field(document: Document, rules: Rules, draw: int) -> bool:
    return _rename(_one_of(_fields(document, rules), draw))


def _rename(slot: Slot | None) -> bool:
    if slot is None:
        return False
    owner, key = slot
    owner[f"{key}_"] = owner.pop(key)
    return True


def _drop_field(document: Document, rules: Rules, draw: int) -> bool:
    if (slot := _one_of(_fields(document, rules), draw)) is None:
        return False
    del slot[0][slot[1]]
    return True


def _change_type(document: Document, rules: Rules, draw: int) -> bool:
    if (slot := _one_of(_fields(document, rules), draw)) is None:
        return False
    owner, key = slot
    is_array = isinstance(owner[key], list)
    owner[key] = {"values": owner[key]} if is_array else [owner[key]]
    return True


def _on_document(change: Change) -> Mutation:
    def mutation(answer: Observation, rules: Rules, draw: int) -> Observation | None:
        if media_type(answer) != "application/json":
            return None
        try:
            document = parse_document(answer.body)
            is_changed = change(document, rules, draw)
        except AnswerUnreadable:
            return None
        text = json.dumps(document).encode()
        return answer._replace(body=text) if is_changed else None

    return mutation


def _cut_body(answer: Observation, rules: Rules, draw: int) -> Observation | None:
    body = answer.body.rstrip()
    return answer._replace(body=body[:-1]) if body else None


def _fail(answer: Observation, rules: Rules, draw: int) -> Observation:
    return answer._replace(status=500)


def _refuse(answer: Observation, rules: Rules, draw: int) -> Observation:
    return answer._replace(status=422)


def _other_media_type(answer: Observation, rules: Rules, draw: int) -> Observation:
    return answer._replace(content_type="application/x-mutant")


MUTATIONS: dict[str, Mutation] = {
    "another_label": _on_document(_another_label),
    "swap_rows": _on_document(_swap_rows),
    "drop_row": _on_document(_drop_row),
    "repeat_row": _on_document(_repeat_row),
    "shift_probability": _on_document(_shift),
    "probability_nan": _on_document(_set_probability(lambda p: nan)),
    "probability_above_one": _on_document(_set_probability(lambda p: p + 1.5)),
    "probability_as_text": _on_document(_set_probability(str)),
    "rename_class": _on_document(_rename_class),
    "rename_field": _on_document(_rename_field),
    "drop_field": _on_document(_drop_field),
    "change_type": _on_document(_change_type),
    "cut_body": _cut_body,
    "fail": _fail,
    "refuse": _refuse,
    "other_media_type": _other_media_type,
}
