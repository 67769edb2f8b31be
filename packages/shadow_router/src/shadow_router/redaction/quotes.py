"""
Finding values in JSON documents, and texts that quote them; pure.

All work has a bound: documents nested too deep, and searches that would take long, are
answered with "cannot be told", which to a redaction means: withhold.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from json import dumps

from shadow_router.errors import AnswerUnreadable
from shadow_router.rules.paths import Document, Step

PLACEHOLDER = "[redacted]"
#: Shorter values turn up in other texts by chance; quotes of them are not looked for.
SHORTEST_QUOTE = 4
#: Values times characters to search, a text counting as some more: at most 50 ms.
_MOST_WORK = 2**24
_EACH = 20
#: Deeper documents cannot be told.
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Secrets:
    """The values of one request that must not be kept; None: they cannot be told."""

    values: frozenset[str] | None

    def can_search(self, texts: Collection[str]) -> bool:
        """Return whether the texts can be searched, and in reasonable time."""
        if self.values is None:
            return False
        size = sum(map(len, texts)) + _EACH * len(texts)
        return len(self.values) * size <= _MOST_WORK

    def are_in(self, texts: Collection[str]) -> bool:
        """Return whether some text quotes one; also when that cannot be found out."""
        if not self.can_search(texts):
            return True
        joined = "\n".join(texts)
        return any(value in joined for value in self.values or ())


def secrets_of(texts: Iterable[str]) -> Secrets:
    """Return the texts that are long enough to be recognised."""
    return Secrets(frozenset(t for t in texts if len(t) >= SHORTEST_QUOTE))


def leaves(document: Document, *, with_names: bool = False) -> Iterator[str]:
    """
    Yield texts and numbers of a document as text, on request the names of fields too.

    Raises
    ------
    AnswerUnreadable
        If it is nested more than 64 deep.
    """
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise AnswerUnreadable(f"the document is nested more than {DEEPEST} deep")
        if isinstance(value, dict):
            if with_names:
                yield from value
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)
        elif isinstance(value, str):
            yield value
        elif value is not None and not isinstance(value, bool):
            yield dumps(value)


def replaced(
    document: Document, steps: tuple[Step, ...], note: Callable[[Document], None]
) -> Document:
    """
    Return a document without the values at a path, each of which is noted.

    A path of one bare name means the fields of that name wherever they are. What the
    path names may be missing.

    Raises
    ------
    AnswerUnreadable
        If a step finds a value of another kind, so that nobody knows what it holds, or
        the document is nested more than 64 deep.
    """

    def hidden(value: Document) -> str:
        note(value)
        return PLACEHOLDER

    if len(steps) == 1 and steps[0].name and not steps[0].is_array:
        return _without_name(document, steps[0].name, hidden, 0)
    return changed(document, steps, hidden)


def _without_name(
    value: Document, name: str, hidden: Callable[[Document], str], depth: int
) -> Document:
    if depth > DEEPEST:
        raise AnswerUnreadable(f"the document is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        return {
            key: hidden(v) if key == name else _without_name(v, name, hidden, depth + 1)
            for key, v in value.items()
        }
    if isinstance(value, list):
        return [_without_name(inner, name, hidden, depth + 1) for inner in value]
    return value


def changed(
    value: Document, steps: tuple[Step, ...], change: Callable[[Document], Document]
) -> Document:
    """
    Return a document whose values at a path are changed; they may be missing.

    Raises
    ------
    AnswerUnreadable
        If a step finds a value of another kind.
    """
    if not steps:
        return change(value)
    step, rest = steps[0], steps[1:]
    if not step.name:
        return _changed_elements(value, step, rest, change)
    if not isinstance(value, dict):
        raise AnswerUnreadable(f"{step.name} is looked for in what is no object")
    if step.name not in value:
        return value
    child = value[step.name]
    if step.is_array:
        child = _changed_elements(child, step, rest, change)
    else:
        child = changed(child, rest, change)
    return {**value, step.name: child}


def _changed_elements(
    value: Document,
    step: Step,
    rest: tuple[Step, ...],
    change: Callable[[Document], Document],
) -> Document:
    if not isinstance(value, list):
        raise AnswerUnreadable(f"{step.name or 'the document'} is not an array")
    return [
        changed(element, rest, change) if _is_meant(element, step) else element
        for element in value
    ]


def _is_meant(element: Document, step: Step) -> bool:
    if not step.key:
        return True
    return isinstance(element, dict) and element.get("name") == step.key


def unquoted(document: Document, secrets: Secrets) -> Document:
    """Return a document of at most 64 levels without what quotes a secret."""
    if isinstance(document, dict):
        return {
            PLACEHOLDER if secrets.are_in([name]) else name: unquoted(value, secrets)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [unquoted(value, secrets) for value in document]
    if isinstance(document, str):
        return PLACEHOLDER if secrets.are_in([document]) else document
    is_number = isinstance(document, (int, float)) and not isinstance(document, bool)
    is_quote = is_number and dumps(document) in (secrets.values or ())
    return PLACEHOLDER if is_quote else document
