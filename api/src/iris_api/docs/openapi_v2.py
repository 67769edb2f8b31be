"""
The Open Inference Protocol's part of the OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from iris_api.predict.predictor import Predictor
from iris_api.schemas import MAX_ROWS
from iris_api.v2.inference import (
    SERVER,
    Inference,
    Output,
    describe_model,
    serialise_answers,
)
from iris_api.v2.tensor_schemas import (
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

# No name has a control character; a path with one is refused before it is read.
_NAME = r"^[^\x00-\x1f\x7f-\x9f]*$"

_WHEN = {
    400: "The body is not JSON, or its tensors cannot be predicted.",
    401: "A key is asked for, and was not sent or is not known.",
    404: "Another model or version is asked for.",
    413: "The body exceeds 256 KiB.",
    415: "The body is neither JSON nor binary tensors behind JSON, or is compressed.",
    429: "The client has sent more than its share.",
    503: "The model is not ready, a record cannot be written, or the process stops.",
}


def describe_protocol(
    predictor: Predictor, malformed: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return paths and schemas of what is under ``/v2``.

    Parameters
    ----------
    predictor : Predictor
        Answers the example.
    malformed : mapping
        Describes the answer to a path that is refused before it is read.
    """
    ready, live = {"ready": True}, {"live": True}
    paths = {
        "/v2": _get("server", "What answers", "ServerMetadata", SERVER),
        "/v2/health/live": _get("live", "Is the process alive?", "ServerLive", live),
        "/v2/health/ready": _get(
            "ready", "Are predictions right, now?", "ServerReady", ready, (503,)
        ),
    }
    for version in ("", "/versions/{version}"):
        model = f"/v2/models/{{name}}{version}"
        parameters = _path_parameters(predictor, bool(version))
        for path, operation in _describe_model_paths(predictor).items():
            (method,) = operation
            described = {**operation[method], "parameters": parameters}
            described["responses"] = _add_malformed(described["responses"], malformed)
            if version:
                described["operationId"] += "_version"
            paths[model + path] = {method: described}
    return paths, _schemas()


def _add_malformed(
    responses: Mapping[str, Any], malformed: Mapping[str, Any]
) -> dict[str, Any]:
    known = responses.get("400", {"content": {}})
    content = {**known["content"], **malformed["content"]}
    return {**responses, "400": {**malformed, **known, "content": content}}


def _describe_model_paths(predictor: Predictor) -> dict[str, Any]:
    metadata = describe_model(predictor.card)
    ready = {"name": predictor.card.name, "ready": True}
    return {
        "": _get("metadata", "What goes in and out", "ModelMetadata", metadata, (404,)),
        "/ready": _get(
            "model_ready", "Is the model ready?", "ModelReady", ready, (404, 503)
        ),
        "/infer": _describe_infer(predictor),
    }


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
            "schema": {"type": "string", "pattern": _NAME},
            "example": value,
        }
        for name, value in values.items()
    ]


def _get(
    name: str,
    summary: str,
    schema: str,
    example: Mapping[str, Any],
    statuses: Sequence[int] = (),
) -> dict[str, Any]:
    answer = {"description": "OK", "content": {_JSON: _media(schema, example)}}
    errors = _errors({status: _WHEN[status] for status in statuses})
    operation = {
        "tags": ["open inference protocol"],
        "summary": summary,
        "operationId": f"v2_{name}",
        "responses": {"200": answer, **errors},
    }
    return {"get": operation}


def _errors(texts: Mapping[int, str]) -> dict[str, Any]:
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
            "operationId": "v2_infer",
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


def _media(schema: str, example: Mapping[str, Any]) -> dict[str, Any]:
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
