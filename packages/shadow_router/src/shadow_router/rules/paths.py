"""
Following a path such as `predictions[].label` through a JSON document; pure.

A path is data with a bound: at most 16 steps, each of which looks at every value of the
document at most once. It cannot loop, and it cannot hold more than the document does.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from shadow_router.errors import AnswerUnreadable

# JSON of strangers: `Any` is what json.loads can honestly promise.
Document = Any

_LONGEST = 256
_MOST_STEPS = 16
_STEP = re.compile(r"(?P<name>[^.\[\]]*)(?P<array>\[(?P<key>[^\[\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a field, every element of an array, or the element of one name."""

    name: str
    is_array: bool
    key: str


@lru_cache(maxsize=256)
def parse_path(text: str) -> tuple[Step, ...]:
    """
    Return the steps of a path.

    Parameters
    ----------
    text : str
        Fields joined by dots. `rows[]` steps into every element of the array `rows`,
        `[]` at the start into those of the document itself, and `outputs[label]` into
        the one element whose `name` is `label`, row by row if it is a tensor.

    Raises
    ------
    ValueError
        If it is empty, too long, or not such a path.
    """
    if not text or len(text) > _LONGEST:
        raise ValueError(f"a path has 1 to {_LONGEST} characters")
    parts = text.split(".")
    if len(parts) > _MOST_STEPS:
        raise ValueError(f"a path has at most {_MOST_STEPS} steps")
    return tuple(_step(part, is_first=not at) for at, part in enumerate(parts))


def _step(part: str, is_first: bool) -> Step:
    match = _STEP.fullmatch(part)
    if match is None or not (match["name"] or (is_first and match["array"])):
        raise ValueError(f"{part or 'an empty step'} is not a step of a path")
    return Step(match["name"], match["array"] is not None, match["key"] or "")


def values_at(document: Document, path: str) -> list[Document]:
    """
    Return the values at a path, in order.

    Raises
    ------
    AnswerUnreadable
        If a step of the path is missing or not of the kind the path says.
    """
    if short := _short(path):
        first, second, kind = short
        try:
            # As most paths are, at the speed that most requests are compared at.
            value = document[first]
            if type(value) is list and kind is list:
                return [row[second] for row in value] if second else value
            if type(value) is dict and kind is dict:
                return [value[second]]
        except (KeyError, TypeError):
            # The slow way says what is missing.
            pass
    return _values_by_step(document, path)


@lru_cache(maxsize=256)
def _short(path: str) -> tuple[str, str, type] | None:
    """Return names and outer kind of `a[].b`, `a.b` or `a[]`; None for others."""
    steps = parse_path(path)
    if len(steps) == 1 and steps[0].is_array and steps[0].name and not steps[0].key:
        return steps[0].name, "", list
    if len(steps) != 2 or not steps[0].name or steps[0].key or steps[1].is_array:
        return None
    return steps[0].name, steps[1].name, list if steps[0].is_array else dict


def _values_by_step(document: Document, path: str) -> list[Document]:
    found = [document]
    for step in parse_path(path):
        children = [_child(value, step, path) for value in found]
        found = _elements(children, step, path) if step.is_array else children
    return found


def _elements(arrays: list[Document], step: Step, path: str) -> list[Document]:
    if len(arrays) == 1 and not step.key and isinstance(arrays[0], list):
        return arrays[0]
    found: list[Document] = []
    for array in arrays:
        if not isinstance(array, list):
            raise AnswerUnreadable(f"{path}: {step.name} is not an array")
        found.extend(_named(array, step.key, path) if step.key else array)
    return found


def _child(value: Document, step: Step, path: str) -> Document:
    if not step.name:
        return value
    if not isinstance(value, dict) or step.name not in value:
        raise AnswerUnreadable(f"{path}: {step.name} is missing")
    return value[step.name]


def _named(elements: list[Document], key: str, path: str) -> list[Document]:
    for element in elements:
        if isinstance(element, dict) and element.get("name") == key:
            return tensor_rows(element) if is_tensor(element) else [element]
    raise AnswerUnreadable(f"{path}: {key} is missing")


def is_tensor(value: Document) -> bool:
    """Return whether a value looks like a tensor of the Open Inference Protocol."""
    return isinstance(value, dict) and {"shape", "data"} <= value.keys()


def tensor_rows(tensor: Document) -> list[Document]:
    """
    Return a tensor row by row: scalars for one column, lists for several.

    Raises
    ------
    AnswerUnreadable
        If shape and data do not fit each other.
    """
    shape, data = tensor["shape"], tensor["data"]
    sizes_fit = isinstance(shape, list) and all(
        type(size) is int and 0 <= size < 2**31 for size in shape
    )
    if not sizes_fit or not shape or not isinstance(data, list):
        raise AnswerUnreadable("a tensor has no shape or no data")
    rows, width = shape[0], prod(shape[1:])
    if len(data) == rows and (width == 1 or all(isinstance(x, list) for x in data)):
        return data if width > 1 else [_alone(value) for value in data]
    if len(data) != rows * width:
        raise AnswerUnreadable("a tensor's data does not have its shape")
    return [data[at * width : (at + 1) * width] for at in range(rows)]


def _alone(value: Document) -> Document:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
