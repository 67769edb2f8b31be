"""
The Open Inference Protocol's part of the OpenAPI document.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from iris_api.inference import Inference, Output, serialise_answers
from iris_api.predictor import Predictor
from iris_api.schemas import MAX_ROWS
from iris_api.tensor_schemas import (
    INFERENCE_REQUEST,
    INFERENCE_RESPONSE,
    InferenceError,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)

_TEMPLATE = "#/components/schemas/{model}"
_JSON = "application/json"
_BINARY = "application/octet-stream"

_WHEN = {
    400: "The body is not JSON, or its tensors cannot be predicted.",
    404: "Another model or version is asked for.",
    413: "The body exceeds 256 KiB.",
    415: "The body is neither JSON nor binary tensors behind JSON, or is compressed.",
    503: "The prediction cannot be put on record, or the process is stopping.",
}


def describe_protocol(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return paths and schemas of what is under ``/v2``.

    Parameters
    ----------
    predictor : Predictor
        Answers the example.
    """
    not_ready = {503: "The model or the process is not ready."}
    paths = {
        "/v2": _get("What answers", "ServerMetadata"),
        "/v2/health/live": _get("Whether the process is alive", "ServerLive"),
        "/v2/health/ready": _get(
            "Whether predictions are right, proved now", "ServerReady", not_ready
        ),
    }
    infer = _describe_infer(predictor)
    unknown = {404: _WHEN[404]}
    for version in ("", "/versions/{version}"):
        model = f"/v2/models/{{name}}{version}"
        ready = _get(
            "Whether the model is ready", "ModelReady", {**unknown, **not_ready}
        )
        metadata = _get("What the model takes and gives", "ModelMetadata", unknown)
        for path, operation in (("", metadata), ("/ready", ready), ("/infer", infer)):
            parameters = _path_parameters(predictor, bool(version))
            paths[model + path] = {"parameters": parameters, **operation}
    return paths, _schemas()


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    others = (ServerMetadata, ServerLive, ServerReady, ModelMetadata, ModelReady)
    adapters: list[TypeAdapter[Any]] = [INFERENCE_REQUEST, INFERENCE_RESPONSE]
    adapters += [TypeAdapter(one) for one in (*others, InferenceError)]
    for adapter in adapters:
        schema = adapter.json_schema(ref_template=_TEMPLATE)
        schemas.update(schema.pop("$defs", {}))
        schemas[schema["title"]] = schema
    return schemas


def _path_parameters(predictor: Predictor, versioned: bool) -> list[dict[str, Any]]:
    values = {"name": predictor.card.name}
    if versioned:
        values["version"] = predictor.card.version
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"Of the served model: `{value}`.",
            "schema": {"type": "string"},
            "example": value,
        }
        for name, value in values.items()
    ]


def _get(
    summary: str, schema: str, errors: dict[int, str] | None = None
) -> dict[str, Any]:
    answer = {
        "description": "OK",
        "content": {_JSON: {"schema": {"$ref": _TEMPLATE.format(model=schema)}}},
    }
    responses = {"200": answer, **_errors(errors or {})}
    tags = ["open inference protocol"]
    return {"get": {"tags": tags, "summary": summary, "responses": responses}}


def _errors(texts: dict[int, str]) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(model="InferenceError")}
    return {
        str(status): {
            "description": text,
            "content": {_JSON: {"schema": schema, "example": {"error": text}}},
        }
        for status, text in texts.items()
    }


def _describe_infer(predictor: Predictor) -> dict[str, Any]:
    request, answer = _examples(predictor)
    return {
        "post": {
            "tags": ["open inference protocol"],
            "summary": f"Predict 1 to {MAX_ROWS:,} rows, sent as tensors",
            "description": "One tensor of shape [n, features], of any name, or one of "
            "shape [n] or [n, 1] for each feature, by its name.",
            "requestBody": {
                "required": True,
                "content": {
                    _JSON: _media("InferenceRequest", request),
                    _BINARY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "responses": {
                "200": {
                    "description": "Answered, and on record.",
                    "content": {
                        _JSON: _media("InferenceResponse", answer),
                        _BINARY: {"schema": {"type": "string", "format": "binary"}},
                    },
                },
                **_errors(_WHEN),
            },
        }
    }


def _media(schema: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"$ref": _TEMPLATE.format(model=schema)}, "example": example}


def _examples(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Any]]:
    answers = predictor.predict([predictor.example])
    tensor = {
        "name": "features",
        "shape": list(answers.matrix.shape),
        "datatype": "FP64",
        "data": answers.matrix.ravel().tolist(),
    }
    outputs = (Output("label", False), Output("probabilities", False))
    inference = Inference(answers.matrix, outputs, "1")
    name, version = predictor.card.name, predictor.card.version
    document, _ = serialise_answers(inference, name, version, answers)
    return {"id": "1", "inputs": [tensor]}, json.loads(document)
