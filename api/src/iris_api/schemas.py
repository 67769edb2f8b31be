"""
The JSON that goes in and out, as types built from what the model says of itself.

The only module that knows pydantic's types; nothing in it knows a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    with_config,
)
from typing_extensions import TypedDict

MAX_ROWS = 1_000
# Places that a problem lists.
MAX_FAULTS = 20

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# Rows as they leave the validator: feature name to finite float.
Rows = list[dict[str, float]]

# The names are data here; type checkers accept only literal ones.
_typed_dict: Any = TypedDict


class Histogram(BaseModel):
    """Counts of the training table between edges; one edge more than counts."""

    edges: list[float]
    counts: list[int]


class Feature(BaseModel):
    """A measurement: unit, range and distribution in the training table."""

    name: str
    unit: str
    minimum: float
    maximum: float
    histogram: Histogram


class ModelCard(BaseModel):
    """
    What a model says of itself, for people.

    ``digests`` are sha256 in hexadecimal; ``libraries`` are those it was trained
    with, ``engine`` is what answers now.
    """

    name: str
    version: str
    engine: str
    target: str
    classes: list[str]
    features: list[Feature]
    steps: list[str]
    metrics: dict[str, JsonValue]
    digests: dict[str, str]
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reference:
    """
    How the rows of the training table are answered by a model that has not seen them.

    Attributes
    ----------
    labels : dict of str to int
        Rows by class.
    confidence, at_most : list of float, list of int
        Quantiles of the largest probability, ascending, and how many of ``rows`` lie
        at or below each.
    """

    labels: dict[str, int]
    confidence: list[float]
    at_most: list[int]
    rows: int


class Health(BaseModel):
    """Who is answering: this unit and the model it serves."""

    name: str
    api_version: str
    model_version: str


class Status(BaseModel):
    """One word on how the process is."""

    status: Literal["alive", "ready"]


class ProblemEntry(BaseModel):
    """One thing wrong: JSON pointer to the place, and what to do."""

    pointer: str
    detail: str


class ProblemBody(BaseModel):
    """An error answer (RFC 9457); ``errors`` lists the first places."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemEntry] = Field(default=[], max_length=MAX_FAULTS)
    more_errors: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Schemas:
    """
    The adapters of one model's documents.

    Attributes
    ----------
    request : TypeAdapter
        Validates a body, strictly, to ``{"inputs": rows}``.
    answer : TypeAdapter
        Describes ``{"model": ..., "predictions": ...}``.
    """

    request: TypeAdapter[Any]
    answer: TypeAdapter[Any]


def build_schemas(card: ModelCard) -> Schemas:
    """
    Return the document types of one model.

    Typed dictionaries and not models: they validate faster, and take any feature
    name, where a model's field may not be called ``model_config`` or ``_id``.
    """
    row: Any = _strict("PredictRow", {f.name: _number(f) for f in card.features})
    rows = Annotated[
        list[row],
        Field(min_length=1, max_length=MAX_ROWS, description="Rows to predict."),
    ]
    model = _typed_dict("ServedModel", {"name": str, "version": str})
    share = Annotated[float, Field(ge=0, le=1)]
    shares = _typed_dict("Probabilities", {name: share for name in card.classes})
    label: Any = Literal[tuple(card.classes)]
    outside = Annotated[
        tuple[str, ...],
        Field(description="Features outside the training range: an extrapolation."),
    ]
    prediction: Any = _typed_dict(
        "Prediction", {"label": label, "probabilities": shares, "out_of_range": outside}
    )
    answer = _typed_dict(
        "PredictAnswer", {"model": model, "predictions": list[prediction]}
    )
    return Schemas(
        request=TypeAdapter(_strict("PredictRequest", {"inputs": rows})),
        answer=TypeAdapter(answer),
    )


def _strict(name: str, fields: dict[str, Any]) -> Any:
    return with_config(STRICT)(_typed_dict(name, fields))


def _number(feature: Feature) -> Any:
    seen = f"{feature.minimum:g} to {feature.maximum:g}"
    description = f"In {feature.unit}; the model was trained on {seen}."
    return Annotated[float, Field(description=description)]
