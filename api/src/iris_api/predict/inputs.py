"""
Turn the bytes of a request into rows, or say everything that is wrong with them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError

from iris_api.errors import Fault, InvalidInputs, MalformedJson, Reason
from iris_api.schemas import MAX_FAULTS, MAX_ROWS, Rows

# Listing costs more than finding: above this many faults, they are only counted.
MAX_LISTED = 5_000
# Names of clients are shown up to this length, and places to this depth.
MAX_KEY = 64
MAX_DEPTH = 8
# Comparing two names takes some 25 microseconds; this many are done per answer.
MAX_COMPARISONS = 300

_DETAILS = {
    "missing": "required field is missing; add it",
    "float_type": "must be a number, written without quotes",
    "finite_number": "must be a finite number",
    "too_short": f"must hold 1 to {MAX_ROWS:,} rows",
    "too_long": f"must hold 1 to {MAX_ROWS:,} rows; split the request",
    "list_type": "must be a list of rows",
    "dict_type": "must be an object",
}
_REASONS: dict[str, Reason] = {
    "missing": "missing",
    "extra_forbidden": "unknown",
    "float_type": "not_a_number",
    "finite_number": "not_finite",
    "too_short": "wrong_size",
    "too_long": "wrong_size",
    "list_type": "wrong_type",
    "dict_type": "wrong_type",
}
_TOO_MUCH = Fault(
    "",
    f"too much to look into; send 1 to {MAX_ROWS:,} rows of the model's fields alone",
    "wrong_size",
)
_Place = tuple[str | int, ...]
# A list, or an object as a tuple of pairs.
_Container = list[Any] | tuple[tuple[str, Any], ...]

_POSITION = re.compile(r" at line (\d+) column (\d+)$")


class InputParser:
    """
    Parse request bodies for one model.

    Parameters
    ----------
    request : TypeAdapter
        The strict schema of the whole body.
    names : sequence of str
        Feature names, for proposals.
    """

    def __init__(self, request: TypeAdapter[Any], names: Sequence[str]) -> None:
        self._validate = request.validator.validate_json
        self._names = tuple(names)
        self._proposals = max(1, MAX_COMPARISONS // len(names))
        # Twice what a valid document can have, so that a row too many is called so.
        brackets = sum(name.count("[") + name.count("{") for name in names)
        self._most_brackets = 2 * (2 + MAX_ROWS * (1 + brackets))

    def parse(self, body: bytes) -> Rows:
        """
        Return the rows of a body: strict, nothing coerced.

        Parameters
        ----------
        body : bytes
            At most the size cap; the checks here are linear in it.

        Raises
        ------
        MalformedJson
            If the bytes are not JSON.
        InvalidInputs
            If a field is unknown, missing or twice there, a value is not a finite
            number, or there are too few or too many rows.
        """
        check_brackets(body, self._most_brackets)
        try:
            rows: Rows = self._validate(body)["inputs"]
        except ValidationError as error:
            raise self._refusal(error) from None
        # In a valid document every string is a key, so two quotes a key is all
        # there can be; more is a repeated key, or an escaped quote in a name.
        if body.count(b'"') != 2 + 2 * len(self._names) * len(rows):
            check_duplicates(body)
        return rows

    def _refusal(self, error: ValidationError) -> MalformedJson | InvalidInputs:
        count = error.error_count()
        if count > MAX_LISTED:
            return InvalidInputs((_TOO_MUCH,), count)
        found = error.errors(include_input=False, include_url=False)
        if found[0]["type"] == "json_invalid":
            return MalformedJson(describe_syntax(found[0]["ctx"]["error"]))
        faults = [
            self._fault(one["type"], one["loc"], position)
            for position, one in enumerate(found[:MAX_FAULTS])
        ]
        return InvalidInputs(tuple(faults), count - len(faults))

    def _fault(self, kind: str, place: Sequence[str | int], position: int) -> Fault:
        detail = _DETAILS.get(kind, "is not valid")
        if kind == "extra_forbidden":
            known = self._names if len(place) > 1 else ("inputs",)
            compared = known if position < self._proposals else ()
            detail = describe_unknown(str(place[-1]), compared)
        reason = _REASONS.get(kind, "invalid")
        return Fault(pointer_to(place), detail, reason, field_of(place))


def check_brackets(body: bytes, most: int) -> None:
    """
    Raise when a body has so many lists and objects that parsing it would be felt.

    Parameters
    ----------
    body : bytes
        Unread. The parser takes some 400 bytes and a microsecond for each bracket:
        256 KiB full of them would cost 100 ms and 70 MB.
    most : int
        More brackets than any valid body has.

    Raises
    ------
    InvalidInputs
        About the whole body.
    """
    if len(body) > most and body.count(b"[") + body.count(b"{") > most:
        raise InvalidInputs((_TOO_MUCH,))


def describe_unknown(key: str, known: Sequence[str]) -> str:
    """
    Return what is said of an unknown field, with the nearest known one.

    Parameters
    ----------
    key : str
        As the client wrote it; named only if it is short and printable.
    known : sequence of str
        What could have been meant.
    """
    shown = f" `{key}`" if is_showable(key) else ""
    near = get_close_matches(key[:MAX_KEY], known, n=1)
    hint = f", did you mean `{near[0]}`?" if near else "; remove it"
    return f"unknown field{shown}{hint}"


def is_showable(key: str) -> bool:
    """Return whether a client's name for a field may be part of an answer."""
    return len(key) <= MAX_KEY and key.isprintable()


def pointer_to(place: Sequence[str | int]) -> str:
    """
    Return the JSON pointer to a place.

    A key too long or too odd to show ends the pointer at its parent.
    """
    parts = []
    for part in place:
        text = str(part)
        if not is_showable(text):
            break
        parts.append("/" + text.replace("~", "~0").replace("/", "~1"))
    return "".join(parts)


def field_of(place: Sequence[str | int]) -> str:
    """Return the key that a place ends with; empty where it ends in none."""
    return place[-1] if place and isinstance(place[-1], str) else ""


def describe_syntax(message: str) -> str:
    """Return what keeps bytes from being JSON, from the parser's message."""
    # jiter's messages quote nothing, but their wording is not ours to promise.
    position = _POSITION.search(message)
    where = f" (line {position[1]}, column {position[2]})" if position else ""
    if message.startswith("number out of range"):
        return f"a number has too many digits{where}"
    if message.startswith("recursion limit"):
        return f"the document is nested too deeply{where}"
    if message.startswith("EOF"):
        return f"the document ends too early{where}; send UTF-8 encoded JSON"
    return f"the body is not JSON{where}; send UTF-8 encoded JSON without a BOM"


def check_duplicates(body: bytes) -> None:
    """
    Raise when an object holds a key twice.

    Parameters
    ----------
    body : bytes
        JSON that a first parse has found well-formed and not too deep.

    Raises
    ------
    InvalidInputs
        Naming each place.
    """
    # Objects become tuples of their pairs, repeated ones included.
    document = json.loads(body, object_pairs_hook=tuple, parse_int=len)
    places: list[_Place] = []
    _find_repeated(document, (), places)
    if places:
        detail = "field is there more than once; keep one"
        shown = tuple(
            Fault(pointer_to(place), detail, "repeated", field_of(place))
            for place in places[:MAX_FAULTS]
        )
        raise InvalidInputs(shown, len(places) - len(shown))


def _find_repeated(value: _Container, place: _Place, places: list[_Place]) -> None:
    # Depth is bounded: the first parse refused what is nested beyond 200.
    inner: Iterable[tuple[str | int, object]] = enumerate(value)
    if isinstance(value, tuple):
        inner = value
        times = Counter(key for key, _ in value)
        places += [step_into(place, key) for key in times if times[key] > 1]
    for step, one in inner:
        if isinstance(one, tuple | list):
            _find_repeated(one, step_into(place, step), places)


def step_into(place: _Place, step: str | int) -> _Place:
    """Return the place one step further, but never deeper than is shown."""
    return (*place, step) if len(place) < MAX_DEPTH else place
