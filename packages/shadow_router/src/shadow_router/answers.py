"""Reading a prediction out of an answer's bytes; pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shadow_router.errors import AnswerUnreadable
from shadow_router.records import Observation

# JSON of strangers: `Any` is what json.loads can honestly promise.
Document = Any


@dataclass(frozen=True, slots=True)
class AnswerPaths:
    """Where an answer keeps what is compared; `[]` steps into every row."""

    label: str
    probabilities: str
    version: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one version said: one label and one set of probabilities a row."""

    document: Document
    labels: tuple[str, ...]
    probabilities: tuple[Mapping[str, float], ...]
    version: str


def parse_document(body: bytes) -> Document:
    """
    Return the JSON document in the bytes.

    Raises
    ------
    AnswerUnreadable
        If they are not strict JSON: NaN and infinity are not.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except AnswerUnreadable:
        raise
    except (ValueError, RecursionError):
        raise AnswerUnreadable("body is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise AnswerUnreadable(f"body holds {name}")


def values_at(document: Document, path: str) -> list[Document]:
    """
    Return the values at a path such as `predictions[].label`, in order.

    Raises
    ------
    AnswerUnreadable
        If a step of the path is missing or not of the kind the path says.
    """
    found = [document]
    for step in path.split("."):
        name = step.removesuffix("[]")
        following: list[Document] = []
        for value in found:
            if not isinstance(value, dict) or name not in value:
                raise AnswerUnreadable(f"{path}: {name} is missing")
            child = value[name]
            if name == step:
                following.append(child)
            elif isinstance(child, list):
                following.extend(child)
            else:
                raise AnswerUnreadable(f"{path}: {name} is not an array")
        found = following
    return found


def parse_prediction(body: bytes, paths: AnswerPaths) -> Prediction:
    """
    Return labels, probabilities and version of a successful answer.

    Raises
    ------
    AnswerUnreadable
        If the body is not JSON or does not hold them.
    """
    document = parse_document(body)
    labels = values_at(document, paths.label)
    for label in labels:
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise AnswerUnreadable(f"{paths.label}: a label is not text")
    tables = values_at(document, paths.probabilities)
    if len(tables) != len(labels):
        raise AnswerUnreadable("labels and probabilities differ in number")
    for table in tables:
        _check_probabilities(table, paths.probabilities)
    return Prediction(
        document=document,
        labels=tuple(map(str, labels)),
        probabilities=tuple(tables),
        version=_version(document, paths.version),
    )


def _check_probabilities(table: Document, path: str) -> None:
    if not isinstance(table, dict) or not table:
        raise AnswerUnreadable(f"{path}: not a table of probabilities")
    for value in table.values():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise AnswerUnreadable(f"{path}: a probability is not a number")
        # Also false for infinity, which JSON writes as 1e999.
        if not 0.0 <= value <= 1.0:
            raise AnswerUnreadable(f"{path}: a probability is not between 0 and 1")


def _version(document: Document, path: str) -> str:
    # Its absence is not a break: a service may not tell its version in the body.
    try:
        values = values_at(document, path)
    except AnswerUnreadable:
        return ""
    return ", ".join(str(value)[:64] for value in values[:1])


def media_type(observation: Observation) -> str:
    """Return the content type without its parameters, in lower case."""
    return observation.content_type.partition(";")[0].strip().lower()


def predict_ms(server_timing: str) -> float | None:
    """
    Return milliseconds of the `predict` metric of a `Server-Timing` header.

    None when there is no such metric or it is not a plain number.
    """
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
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", text, re.A) else None
