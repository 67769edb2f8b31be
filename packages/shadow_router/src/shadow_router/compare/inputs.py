"""
Telling inputs apart: what counts once, however often it is sent; pure.

An input is the values of one row of a request to one path, and nothing else: neither
their spelling (5, 5.0 and 5e0 are one number, as 0 and -0 are), nor the order of
fields, nor a query, nor what surrounds the rows.
"""

import json
from bisect import bisect_right
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import parse_qsl

import orjson

from shadow_router.compare.answers import json_bytes_of, parse_message
from shadow_router.compare.tensors import held
from shadow_router.errors import AnswerUnreadable
from shadow_router.http.content_coding import undone
from shadow_router.request.targets import origin_form
from shadow_router.rules.paths import Document, is_tensor, tensor_rows, values_at
from shadow_router.rules.rules import Rules, Segment
from shadow_router.values import JSON_BYTES, Difference, Exchange, Unit

_DIGEST_BYTES = 16
#: Longer rows are not sampled: a table of measurements has shorter ones.
_LONGEST_SOURCE = 4096
_JSON_BYTES = JSON_BYTES.encode()
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Evidenced(NamedTuple):
    """What one exchange is evidence of."""

    request_digest: bytes
    units: tuple[Unit, ...]
    #: Digests of the rows, or of the request, where there are no units.
    unanswered: tuple[bytes, ...] = ()


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
    rows, texts = _rows(exchange, rules.paths.inputs)
    path = exchange.path
    if not texts:
        request = _digest(key, b"body", path, *_whole(exchange, rules))
    else:
        kind = b"row" if len(texts) == 1 else b"rows"
        request = _digest(key, kind, path, *texts)
    worst = difference.worst_row
    if worst is None:
        rows_alone = tuple(_digest(key, b"row", path, text) for text in texts)
        return Evidenced(request, (), rows_alone or (request,))
    if len(rows) != len(difference.rows):
        return Evidenced(request, (Unit(request, worst),))
    if len(rows) == 1:
        unit = Unit(request, worst, _bins(rows[0], rules), _source(texts[0]))
        return Evidenced(request, (unit,))
    units = (
        Unit(_digest(key, b"row", path, text), judged, _bins(row, rules), _source(text))
        for row, text, judged in zip(rows, texts, difference.rows, strict=True)
    )
    return Evidenced(request, tuple(units))


def _rows(exchange: Exchange, path: str) -> tuple[list[Document], list[bytes]]:
    """Return the rows of a request and their one spelling; none if unreadable."""
    if not path:
        return [], []
    try:
        rows = values_at(_document(exchange), path)
        if rows and is_tensor(rows[0]) and all(map(is_tensor, rows)):
            return _tensors_by_row(rows)
        return rows, [_canonical(row) for row in rows]
    except (AnswerUnreadable, RecursionError):
        return [], []


def _document(exchange: Exchange) -> Document:
    coding, json_bytes = "", None
    for name, value in exchange.headers:
        if name == b"content-encoding":
            coding = value.decode("latin-1")
        elif name == _JSON_BYTES:
            json_bytes = json_bytes_of(value.decode("latin-1"))
    body = exchange.request_body
    return parse_message(undone(body, coding) if coding else body, json_bytes)


def _tensors_by_row(tensors: list[Document]) -> tuple[list[Document], list[bytes]]:
    tensors = [tensor | {"data": held(tensor)} for tensor in tensors]
    columns = [tensor_rows(tensor) for tensor in tensors]
    if len({len(column) for column in columns}) > 1:
        raise AnswerUnreadable("tensors differ in their number of rows")
    names = [str(tensor.get("name", at)) for at, tensor in enumerate(tensors)]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    # The name of an only tensor tells nothing, and a service may take any.
    texts = map(_canonical, rows if len(columns) > 1 else columns[0])
    return rows, list(texts)


def _whole(exchange: Exchange, rules: Rules) -> tuple[bytes, ...]:
    """Return the one spelling of a request whose rows cannot be told apart."""
    body = exchange.request_body
    try:
        body = _canonical(_document(exchange))
    except (AnswerUnreadable, RecursionError):
        # Not JSON: its bytes are all there is.
        pass
    if rules.paths.inputs and body:
        return (body,)
    _, _, query = origin_form(exchange.target).partition(b"?")
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return repr([(name, _number(text)) for name, text in pairs]).encode(), body


def _number(text: bytes) -> bytes | float:
    """Return the number that a value of a query is, else the text."""
    try:
        number = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return number + 0.0 if type(number) in (int, float) else text


def _canonical(value: Document) -> bytes:
    """Return the one spelling of a value."""
    plain = _plain(value)
    try:
        text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # What is nested deeply.
        return _ENCODER.encode(plain).encode()
    # Infinities and NaN, which binary tensors may hold, are not told apart there.
    return _ENCODER.encode(plain).encode() if b"null" in text else text


def _plain(value: Document) -> Document:
    """Return a value with every number as the double that it is, 0 for -0."""
    kind = type(value)
    if kind is dict:
        # Written out for numbers: most of what a row is made of.
        return {
            name: one + 0.0 if type(one) is float else _plain(one)
            for name, one in value.items()
        }
    if kind is float or kind is int:
        return _double(value)
    return [_plain(one) for one in value] if kind is list else value


def _double(number: float) -> float | str:
    try:
        return number + 0.0
    except OverflowError:
        # A whole number that no double can hold.
        return str(number)


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
