"""
The OpenAPI document: what FastAPI knows, and ``POST /v1/predict``, which it does not.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from iris_api.inputs import MAX_FAULTS
from iris_api.prediction import MEDIA_TYPE, PATH
from iris_api.predictor import Predictor
from iris_api.problems import MEDIA_TYPE as PROBLEM_TYPE
from iris_api.problems import TITLES
from iris_api.schemas import MAX_ROWS, ProblemBody, Schemas

_TEMPLATE = "#/components/schemas/{model}"

_WHEN = {
    400: "The body is not JSON.",
    401: "A key is asked for, and the one that was sent is none of ours.",
    413: "The body exceeds 256 KiB.",
    415: "The body is not plain `application/json` in UTF-8.",
    422: f"The inputs cannot be predicted; `errors` lists up to {MAX_FAULTS} places.",
    429: "The client has sent all that it may for now; `Retry-After` says how long.",
    503: "The prediction cannot be put on record, or the process is stopping.",
}

_HEADERS = {
    "X-Request-ID": {
        "description": "That of the request, or a new one.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "`predict;dur=` and the milliseconds spent on predicting.",
        "schema": {"type": "string"},
    },
}


def describe_api(
    app: FastAPI, schemas: Schemas, predictor: Predictor, keyed: bool = False
) -> dict[str, Any]:
    """
    Return the whole OpenAPI document.

    Parameters
    ----------
    app : FastAPI
        Holds every route but the one for predictions.
    schemas : Schemas
        Documents of that one.
    predictor : Predictor
        Answers the example.
    keyed : bool
        Whether everything under a version needs a key.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    answer = schemas.answer.json_schema(ref_template=_TEMPLATE, mode="serialization")
    problem = ProblemBody.model_json_schema(ref_template=_TEMPLATE)
    for schema in (
        schemas.request.json_schema(ref_template=_TEMPLATE),
        answer,
        problem,
    ):
        components.update(schema.pop("$defs", {}))
        components[schema["title"]] = schema
    document["paths"][PATH] = {"post": _describe_predict(predictor)}
    if keyed:
        _add_keys(document)
    return document


def _add_keys(document: dict[str, Any]) -> None:
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    document["components"]["securitySchemes"] = {"key": key}
    for path, operations in document["paths"].items():
        if path.startswith(("/v1/", "/v2/")):
            for operation in operations.values():
                operation["security"] = [{"key": []}]


def problem_response(description: str, status: int) -> dict[str, Any]:
    """Return how an error answer is described, with an example."""
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": description,
        "request_id": "8c5e0f2a61d94b0f",
    }
    if status == 422:
        detail = "must be a finite number"
        example["errors"] = [{"pointer": "/inputs/0", "detail": detail}]
    schema = {"$ref": _TEMPLATE.format(model="ProblemBody")}
    return {
        "description": description,
        "headers": _HEADERS,
        "content": {PROBLEM_TYPE: {"schema": schema, "example": example}},
    }


def _describe_predict(predictor: Predictor) -> dict[str, Any]:
    return {
        "tags": ["predict"],
        "summary": f"Predict 1 to {MAX_ROWS:,} rows",
        "description": "One prediction a row, in order. Nothing is coerced: numbers "
        "are numbers, unknown and repeated fields are refused.",
        "operationId": "predict",
        "parameters": [
            {
                "name": "X-Request-ID",
                "in": "header",
                "required": False,
                "description": "Comes back on the answer; a new one if malformed.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _TEMPLATE.format(model="PredictRequest")},
                    "example": {"inputs": [predictor.example]},
                }
            },
        },
        "responses": {
            "200": {
                "description": "Answered, and on record.",
                "headers": _HEADERS,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": _TEMPLATE.format(model="PredictAnswer")},
                        "example": _example_answer(predictor),
                    }
                },
            },
            **{str(s): problem_response(text, s) for s, text in _WHEN.items()},
        },
    }


def _example_answer(predictor: Predictor) -> dict[str, Any]:
    answers = predictor.predict([predictor.example])
    answer = {
        "model": {"name": predictor.card.name, "version": predictor.card.version},
        "predictions": [
            {
                "label": answers.labels[0],
                "probabilities": answers.probabilities[0],
                "out_of_range": answers.out_of_range[0],
            }
        ],
    }
    example: dict[str, Any] = json.loads(json.dumps(answer))
    return example
