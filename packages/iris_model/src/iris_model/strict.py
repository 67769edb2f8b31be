"""
Read JSON into frozen dataclasses, strictly.

Small on purpose: a validation library would be a fifth of the memory that a loaded
model takes. The methods are named as pydantic's, which did this before.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from types import UnionType
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints


class Malformed(ValueError):
    """
    A value is not of the declared type.

    Attributes
    ----------
    where : str
        Path to the value, its parts joined by dots.
    what : str
        What is wrong with it.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class Strict:
    """Base of frozen dataclasses; their floats are finite."""

    @classmethod
    def model_validate(cls, fields: object) -> Self:
        """
        Return an instance with exactly these fields.

        Raises
        ------
        Malformed
            If one is missing, unknown or of another type.
        """
        found: Self = _parse(cls, fields, ())
        return found

    def model_dump(self) -> dict[str, Any]:
        """Return the fields as what JSON can hold."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _parse(kind: Any, value: Any, path: tuple[str, ...]) -> Any:
    """Return the value as ``kind`` (a class, or a construct of ``typing``)."""
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_fields(kind, _typed(dict, value, path), path)
    if origin is list:
        listed = enumerate(_typed(list, value, path))
        return [_parse(inner[0], one, (*path, str(place))) for place, one in listed]
    if origin is dict:
        pairs = _typed(dict, value, path).items()
        return {key: _parse(inner[1], one, (*path, key)) for key, one in pairs}
    if origin is UnionType:  # X | None
        return None if value is None else _parse(inner[0], value, path)
    if origin is Literal:
        if type(value) is not type(inner[0]) or value not in inner:
            wanted = " or ".join(repr(one) for one in inner)
            raise Malformed(".".join(path), f"must be {wanted}")
        return value
    if origin is Annotated:
        if not re.fullmatch(inner[1], _typed(inner[0], value, path)):
            raise Malformed(".".join(path), f"must match {inner[1]}")
        return value
    return _parse_float(value, path) if kind is float else _typed(kind, value, path)


def _parse_fields(kind: Any, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    kinds = _kinds(kind)
    for name in kinds.keys() - fields.keys():
        raise Malformed(".".join((*path, name)), "is missing")
    for name in fields.keys() - kinds.keys():
        raise Malformed(".".join((*path, name)), "is unknown")
    values = {name: _parse(kinds[name], fields[name], (*path, name)) for name in kinds}
    return kind(**values)


def _parse_float(value: Any, path: tuple[str, ...]) -> float:
    try:
        number = float(_typed(int, value, path)) if type(value) is int else value
    except OverflowError:
        number = math.inf
    if not math.isfinite(_typed(float, number, path)):
        raise Malformed(".".join(path), "must be finite")
    return float(number)


def _typed(kind: type, value: Any, path: tuple[str, ...]) -> Any:
    # Not isinstance: true is no whole number here.
    if type(value) is not kind:
        found = type(value).__name__
        raise Malformed(".".join(path), f"must be {kind.__name__}, not {found}")
    return value
