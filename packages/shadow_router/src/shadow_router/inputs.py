"""
Telling inputs apart: what counts once, however often it is sent; pure.

An input is one row of a request to one target. What surrounds the rows does not count:
an id or a timestamp there would make every repeat look new.
"""

import json
from bisect import bisect_right
from hashlib import blake2b
from typing import NamedTuple

import orjson

from shadow_router.answers import parse_document
from shadow_router.errors import AnswerUnreadable
from shadow_router.paths import Document, is_tensor, tensor_rows, values_at
from shadow_router.records import Difference, Exchange, Unit
from shadow_router.rules import Rules, Segment

_DIGEST_BYTES = 16
#: Longer rows are not sampled: a table of measurements has shorter ones.
_LONGEST_SOURCE = 4096
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Evidenced(NamedTuple):
    """What one exchange is evidence of."""

    request_digest: bytes
    units: tuple[Unit, ...]


def evidence_of(
    exchange: Exchange, difference: Difference, rules: Rules, key: bytes = b""
) -> Evidenced:
    """
    Return the digest of a request and its inputs.

    A request of one row and that row share a digest. With a key of up to 64 bytes,
    nobody who lacks it can try inputs out on a digest.

    Returns
    -------
    Evidenced
        With one unit for each row, or one for the whole request, judged by its worst
        row, where the rows cannot be read or are not as many as the answer's; with
        no units when the answers had no rows.
    """
    rows, texts = _rows(exchange.request_body, rules.paths.inputs)
    target = exchange.target
    if not texts:
        request = _digest(key, b"body", target, exchange.request_body)
    else:
        kind = b"row" if len(texts) == 1 else b"rows"
        request = _digest(key, kind, target, *texts)
    worst = difference.worst_row
    if worst is None:
        return Evidenced(request, ())
    if len(rows) != len(difference.rows):
        return Evidenced(request, (Unit(request, worst),))
    if len(rows) == 1:
        unit = Unit(request, worst, _bins(rows[0], rules), _source(texts[0]))
        return Evidenced(request, (unit,))
    units = (
        Unit(
            _digest(key, b"row", target, text), judged, _bins(row, rules), _source(text)
        )
        for row, text, judged in zip(rows, texts, difference.rows, strict=True)
    )
    return Evidenced(request, tuple(units))


def _rows(body: bytes, path: str) -> tuple[list[Document], list[bytes]]:
    """Return the rows of a request and their one spelling; none if unreadable."""
    if not path:
        return [], []
    try:
        rows = values_at(parse_document(body), path)
        if rows and is_tensor(rows[0]) and all(map(is_tensor, rows)):
            rows = _tensors_by_row(rows)
        return rows, [_canonical(row) for row in rows]
    except (AnswerUnreadable, RecursionError):
        return [], []


def _tensors_by_row(tensors: list[Document]) -> list[Document]:
    columns = [tensor_rows(tensor) for tensor in tensors]
    if len({len(column) for column in columns}) > 1:
        raise AnswerUnreadable("tensors differ in their number of rows")
    names = [str(tensor.get("name", at)) for at, tensor in enumerate(tensors)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _canonical(value: Document) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers beyond 64 bits, and what is nested deeply.
        return _ENCODER.encode(value).encode()


def _source(text: bytes) -> bytes:
    return text if len(text) <= _LONGEST_SOURCE else b""


def _digest(key: bytes, *parts: bytes) -> bytes:
    # Only a body, which comes last, may hold the separator.
    content = b"\0".join(parts)
    return blake2b(content, digest_size=_DIGEST_BYTES, key=key).digest()


def _bins(row: Document, rules: Rules) -> tuple[str, ...]:
    if not rules.segments:
        return ()
    named = ((segment, _value(row, segment.field)) for segment in rules.segments)
    return tuple(_bin(segment, value) for segment, value in named if value is not None)


def _value(row: Document, field: str) -> float | None:
    if isinstance(row, dict):
        value = row.get(field)
    elif isinstance(row, list) and field.isdecimal() and int(field) < len(row):
        value = row[int(field)]
    else:
        value = None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else None


def _bin(segment: Segment, value: float) -> str:
    at = bisect_right(segment.edges, value)
    if at == 0:
        return f"{segment.field} < {segment.edges[0]:g}"
    if at == len(segment.edges):
        return f"{segment.field} ≥ {segment.edges[-1]:g}"
    return f"{segment.edges[at - 1]:g} ≤ {segment.field} < {segment.edges[at]:g}"
