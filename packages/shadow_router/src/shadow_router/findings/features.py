"""Inputs of any model as a table of numbers, read from their JSON; pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shadow_router.rules.paths import Document
from shadow_router.store import Sample

#: A field counts as a feature when so many inputs have it.
_FILLED = 0.9
_MOST_FEATURES = 32
_MOST_VALUES = 6


@dataclass(frozen=True, slots=True)
class Table:
    """Samples with their features: one row of floats for each of `samples`."""

    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    samples: tuple[Sample, ...]


def table_of(samples: Sequence[Sample]) -> Table:
    """
    Return the samples that have all features, as numbers.

    Numbers and booleans that vary are taken as they are; of a text field, each
    frequent value is a feature of its own, `colour = red`, that is 0 or 1.
    """
    read = [_fields(json.loads(sample.input)) for sample in samples]
    counts = Counter(name for fields in read for name in fields)
    least = _FILLED * len(read)
    kept = [name for name, n in counts.items() if n >= least]
    columns = [column for name in kept for column in _columns(name, read)]
    columns = columns[:_MOST_FEATURES]
    rows, chosen = [], []
    for fields, sample in zip(read, samples, strict=True):
        row = tuple(_number(fields.get(name), value) for name, value in columns)
        if None not in row:
            rows.append(tuple(float(number or 0) for number in row))
            chosen.append(sample)
    names = [f"{name} = {value}" if value else name for name, value in columns]
    # What is the same in every input tells nothing of it.
    telling = [
        at for at, one in enumerate(zip(*rows, strict=True)) if len(set(one)) > 1
    ]
    return Table(
        tuple(names[at] for at in telling),
        tuple(tuple(row[at] for at in telling) for row in rows),
        tuple(chosen),
    )


def _fields(row: Document) -> dict[str, Document]:
    if isinstance(row, dict):
        return row
    return {str(at): v for at, v in enumerate(row if isinstance(row, list) else [row])}


def _columns(
    name: str, read: Sequence[dict[str, Document]]
) -> list[tuple[str, str | None]]:
    values = [fields[name] for fields in read if name in fields]
    if all(isinstance(value, (int, float)) for value in values):
        return [(name, None)]
    texts = Counter(v[:64] for v in values if isinstance(v, str))
    frequent = [text for text, n in texts.most_common(_MOST_VALUES) if n > 1]
    return [(name, text) for text in frequent if text]


def _number(found: Document, value: str | None) -> float | None:
    if value is not None:
        return float(isinstance(found, str) and found[:64] == value)
    try:
        return float(found) if isinstance(found, (int, float)) else None
    except OverflowError:
        # A whole number that no float can hold.
        return None
