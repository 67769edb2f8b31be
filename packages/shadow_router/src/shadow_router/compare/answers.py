"""Reading a prediction out of an answer's bytes; pure."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import orjson

from shadow_router.compare.tensors import fill_tensors
from shadow_router.errors import AnswerUnreadable
from shadow_router.http.content_coding import can_undo, undone
from shadow_router.rules.paths import Document, values_at
from shadow_router.rules.rules import Rules
from shadow_router.values import JSON_BYTES, Observation

Table = Mapping[str, float]
_LONGEST_LABEL = 256
_KEPT_HEADERS = {
    name.encode(): name
    for name in ("content-type", "content-encoding", "server-timing", JSON_BYTES)
}


class Prediction(NamedTuple):
    """What one version said: one label and one set of probabilities a row."""

    document: Document
    labels: tuple[str, ...]
    #: Empty when the rules name no probabilities.
    probabilities: tuple[Table, ...]
    version: str
    digest: str


def parse_document(body: bytes) -> Document:
    """
    Return the JSON document in the bytes; whole numbers beyond 64 bits are rounded.

    Raises
    ------
    AnswerUnreadable
        If they are not strict JSON: NaN and infinity are not.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # Slower, reads numbers of any size, and says more of what is wrong.
        return parse_exactly(body)


def parse_exactly(body: bytes) -> Document:
    """Return the document with every number as it is; raises as `parse_document`."""
    try:
        document = _DECODER.decode(body.decode())
        if b"\\u" in body:
            # Half of a surrogate pair is no text: no database would take it.
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except AnswerUnreadable:
        raise
    except (ValueError, RecursionError):
        raise AnswerUnreadable("body is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise AnswerUnreadable(f"body holds {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_message(body: bytes, json_bytes: int | None) -> Document:
    """Return a document, with the binary tensors behind it; as `parse_document`."""
    if json_bytes is None:
        return parse_document(body)
    document = parse_document(body[:json_bytes])
    fill_tensors(document, body[json_bytes:])
    return document


def json_bytes_of(value: str) -> int | None:
    """Return the length that a header states, None if it states none."""
    is_length = value.isdigit() and value.isascii() and len(value) <= 10
    return int(value) if is_length else None


def parse_prediction(
    body: bytes, rules: Rules, json_bytes: int | None = None
) -> Prediction:
    """
    Return labels, probabilities and version of a successful answer.

    Raises
    ------
    AnswerUnreadable
        If the body is not JSON or does not hold them.
    """
    paths = rules.paths
    document = parse_message(body, json_bytes)
    labels = values_at(document, paths.label)
    for label in labels:
        if type(label) is str:
            if len(label) > _LONGEST_LABEL:
                raise AnswerUnreadable(f"{paths.label}: a label is too long")
        elif type(label) is not int:
            raise AnswerUnreadable(f"{paths.label}: a label is not text")
    return Prediction(
        document,
        tuple(map(str, labels)),
        _tables(document, len(labels), rules),
        _optional(document, paths.version),
        _optional(document, paths.digest),
    )


def _tables(document: Document, rows: int, rules: Rules) -> tuple[Table, ...]:
    path = rules.paths.probabilities
    if not path:
        return ()
    found = values_at(document, path)
    if len(found) != rows:
        raise AnswerUnreadable("labels and probabilities differ in number")
    return tuple([_table(value, path, rules.classes) for value in found])


def _table(value: Document, path: str, classes: tuple[str, ...]) -> Table:
    if isinstance(value, list):
        if classes and len(classes) != len(value):
            raise AnswerUnreadable(f"{path}: {len(value)} columns, not {len(classes)}")
        value = dict(zip(classes or map(str, range(len(value))), value, strict=True))
    if not isinstance(value, dict) or not value:
        raise AnswerUnreadable(f"{path}: not a table of probabilities")
    for number in value.values():
        if type(number) is not float and type(number) is not int:
            raise AnswerUnreadable(f"{path}: a probability is not a number")
        # Also false for infinity, which JSON writes as 1e999.
        if not 0.0 <= number <= 1.0:
            raise AnswerUnreadable(f"{path}: a probability is not between 0 and 1")
    return value


def _optional(document: Document, path: str) -> str:
    # Its absence is not a break: a service may not tell its version in the body.
    if not path:
        return ""
    try:
        values = values_at(document, path)
    except AnswerUnreadable:
        return ""
    return str(values[0])[:80] if values else ""


def kept_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what is looked at of an answer's headers, by names in lower case."""
    return {
        known: value.decode("latin-1")
        for name, value in headers
        if (known := _KEPT_HEADERS.get(name.lower()))
    }


def observation_of(
    status: int, headers: Mapping[str, str], body: bytes, latency_ms: float
) -> Observation:
    """Return an answer with its kept headers as an observation."""
    get = headers.get
    coding = get("content-encoding", "")
    if coding and can_undo(coding):
        # What stays coded is a contract break, with its reason.
        with suppress(AnswerUnreadable):
            body, coding = undone(body, coding), ""
    return Observation(
        status,
        get("content-type", ""),
        coding,
        body,
        latency_ms,
        predict_ms(get("server-timing", "")),
        json_bytes_of(get(JSON_BYTES, "")),
    )


def media_type(observation: Observation) -> str:
    """Return the content type without its parameters, in lower case."""
    return _media_type(observation.content_type)


@lru_cache(maxsize=64)
def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=4096)
def predict_ms(server_timing: str) -> float | None:
    """
    Return milliseconds of the `predict` metric of a `Server-Timing` header.

    None when there is no such metric or it is not a plain number.
    """
    before, is_plain, number = server_timing.partition("predict;dur=")
    if is_plain and not before and (found := _plain_number(number)) is not None:
        return found
    for metric in server_timing[:4096].split(","):
        name, *parameters = (part.strip() for part in metric.split(";"))
        if name.lower() != "predict":
            continue
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "dur":
                return _plain_number(value.strip().strip('"'))
    return None


def _plain_number(text: str) -> float | None:
    digits = text.replace(".", "", 1)
    if not (digits.isdigit() and digits.isascii() and len(digits) <= 24):
        return None
    return None if "." in (text[0], text[-1]) else float(text)
