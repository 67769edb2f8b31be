"""
The JSON of the Open Inference Protocol, version 2, as types; strict as all of ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, WithJsonSchema, with_config
from typing_extensions import NotRequired, TypedDict

from iris_api.schemas import MAX_ROWS, STRICT

MAX_ID = 128
# Not to describe a hundred thousand faults of one request.
MAX_INPUTS = 1_000

Datatype = Literal[
    "FP64",
    "FP32",
    "INT64",
    "INT32",
    "INT16",
    "INT8",
    "UINT64",
    "UINT32",
    "UINT16",
    "UINT8",
]

Shape = Annotated[
    list[int],
    Field(
        min_length=1,
        max_length=2,
        description=f"Rows, 1 to {MAX_ROWS:,}, and what is in each.",
    ),
]

_NUMBERS = {"type": "array", "items": {"type": "number"}}

# What is inside is checked by `tensors`, a whole tensor at a time.
Data = Annotated[
    list[Any],
    WithJsonSchema(
        {
            "anyOf": [_NUMBERS, {"type": "array", "items": _NUMBERS}],
            "description": "Row by row, flat or one list a row. Left out where the "
            "values follow the JSON, as `binary_data_size` says.",
        }
    ),
]

Parameters = Annotated[
    dict[str, JsonValue],
    Field(
        description="`binary_data_size`, `binary_data` and `binary_data_output` are "
        "those of the binary tensor extension; others change nothing."
    ),
]


@with_config(STRICT)
class RequestInput(TypedDict):
    """A tensor of all features, or of the one that it is named after."""

    name: str
    shape: Shape
    datatype: Datatype
    parameters: NotRequired[Parameters]
    data: NotRequired[Data]


@with_config(STRICT)
class RequestOutput(TypedDict):
    """A tensor that is wanted."""

    name: Literal["label", "probabilities"]
    parameters: NotRequired[Parameters]


@with_config(STRICT)
class InferenceRequest(TypedDict):
    """One tensor of all features, or one a feature."""

    id: NotRequired[Annotated[str, Field(max_length=MAX_ID)]]
    parameters: NotRequired[Parameters]
    inputs: Annotated[list[RequestInput], Field(min_length=1, max_length=MAX_INPUTS)]
    outputs: NotRequired[
        Annotated[
            list[RequestOutput],
            Field(max_length=2, description="All where none is named."),
        ]
    ]


class ResponseOutput(TypedDict):
    """``label``, BYTES of shape [n], or ``probabilities``, FP64 of [n, classes]."""

    name: str
    shape: list[int]
    datatype: Literal["BYTES", "FP64"]
    parameters: NotRequired[dict[str, int]]
    data: NotRequired[list[str | float]]


class InferenceResponse(TypedDict):
    """The answer; ``id`` is that of the request."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[ResponseOutput]


class ServerMetadata(TypedDict):
    """What answers."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(TypedDict):
    """A tensor; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, list[str]]


class ModelMetadata(TypedDict):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerLive(TypedDict):
    """Whether the process lives."""

    live: bool


class ServerReady(TypedDict):
    """Whether the process should get requests."""

    ready: bool


class ModelReady(TypedDict):
    """Whether the model should get requests."""

    name: str
    ready: bool


class InferenceError(TypedDict):
    """An error answer: what is wrong and what to do."""

    error: str


INFERENCE_REQUEST: TypeAdapter[InferenceRequest] = TypeAdapter(InferenceRequest)
INFERENCE_RESPONSE: TypeAdapter[InferenceResponse] = TypeAdapter(InferenceResponse)
