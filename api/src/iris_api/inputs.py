"""
Turn the bytes of a request into rows, or say everything that is wrong with them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from iris_api.errors import Fault, InvalidInputs, MalformedJson, Reason
from iris_api.schemas import MAX_ROWS, Rows

MAX_FAULTS = 20
MAX_KEY = 64

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
    "float_type": "not_a_number",
    "finite_number": "not_finite",
    "too_short": "wrong_size",
    "too_long": "wrong_size",
    "list_type": "wrong_type",
    "dict_type": "wrong_type",
}
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
        self._known = ("inputs", *names)
        self._names_per_row = len(names)

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
        try:
            rows: Rows = self._validate(body)["inputs"]
        except ValidationError as error:
            raise self._refusal(error) from None
        # In a valid document every string is a key, so two quotes a key is all
        # there can be; more is a repeated key, or an escaped quote in a name.
        if body.count(b'"') != 2 + 2 * self._names_per_row * len(rows):
            check_duplicates(body)
        return rows

    def _refusal(self, error: ValidationError) -> MalformedJson | InvalidInputs:
        found = error.errors(include_input=False, include_url=False)
        if found[0]["type"] == "json_invalid":
            return MalformedJson(describe_syntax(found[0]["ctx"]["error"]))
        faults = [
            self._fault(one["type"], list(one["loc"])) for one in found[:MAX_FAULTS]
        ]
        return InvalidInputs(tuple(faults), len(found) - len(faults))

    def _fault(self, kind: str, place: list[str | int]) -> Fault:
        field = field_of(place)
        if kind != "extra_forbidden":
            detail = _DETAILS.get(kind, "is not valid")
            reason = _REASONS.get(kind, "invalid")
            return Fault(pointer_to(place), detail, reason, field)
        hint = "; remove it"
        key = str(place[-1])
        near = difflib.get_close_matches(key[:MAX_KEY], self._known, n=1)
        if near:
            hint = f', did you mean "{near[0]}"?'
        return Fault(pointer_to(place), f"unknown field{hint}", "unknown", field)


def pointer_to(place: Sequence[str | int]) -> str:
    """
    Return the JSON pointer to a place.

    A key too long or too odd to show ends the pointer at its parent.
    """
    parts = []
    for part in place:
        text = str(part)
        if len(text) > MAX_KEY or not text.isprintable():
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


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as written, repeated ones included."""


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
    document = json.loads(body, object_pairs_hook=_Pairs, parse_int=len)
    places: list[list[str | int]] = []
    _find_duplicates(document, [], places)
    if places:
        shown = places[:MAX_FAULTS]
        detail = "field is there more than once; keep one"
        faults = tuple(
            Fault(pointer_to(place), detail, "repeated", field_of(place))
            for place in shown
        )
        raise InvalidInputs(faults, len(places) - len(shown))


def _find_duplicates(
    value: object, place: list[str | int], places: list[list[str | int]]
) -> None:
    # Depth is bounded: the first parse refused what is nested beyond 200.
    if isinstance(value, _Pairs):
        seen = set()
        for key, inner in value:
            here = [*place, key]
            if key in seen:
                places.append(here)
            seen.add(key)
            _find_duplicates(inner, here, places)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _find_duplicates(inner, [*place, position], places)
