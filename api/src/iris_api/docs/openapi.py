"""
The OpenAPI document: what FastAPI knows, and what it does not.

Every example in it was answered by the code that answers requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from iris_api.docs.openapi_v2 import describe_protocol
from iris_api.errors import (
    BodyTooLarge,
    InvalidInputs,
    KeyRefused,
    MalformedJson,
    ModelUnusable,
    RecordNotWritten,
    Stopping,
    TooManyRequests,
    UnsupportedBody,
)
from iris_api.predict.inputs import InputParser
from iris_api.predict.prediction import MEDIA_TYPE, PATH, check_headers
from iris_api.predict.predictor import Predictor
from iris_api.problems import MEDIA_TYPE as PROBLEM_TYPE
from iris_api.problems import Problem, problem_of, problem_of_status
from iris_api.schemas import MAX_FAULTS, MAX_ROWS, ProblemBody, Schemas

_SCHEMA = "#/components/schemas/{model}"

_WHEN = {
    400: "The body is not JSON.",
    401: "A key is asked for, and the one that was sent is none of ours.",
    413: "The body exceeds 256 KiB.",
    415: "The body is not plain `application/json` in UTF-8.",
    422: "There is a fault in the inputs, or they are too extreme for the model; "
    f"`errors` lists up to {MAX_FAULTS} places.",
    429: "The client has sent all that it may for now; `Retry-After` says how long.",
    500: "A fault of ours.",
    503: "The prediction cannot be put on record, or the process is stopping.",
}

_REQUEST_ID = "8c5e0f2a61d94b0f"

_PARAMETER = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Comes back on the answer if it is 1 to 128 characters of "
    "`A-Z a-z 0-9 . _ -`; otherwise a new one does.",
    "schema": {"type": "string"},
    "example": _REQUEST_ID,
}

_HEADERS = {
    "X-Request-ID": {
        "description": "That of the request, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "Server-Timing": {
        "description": "The milliseconds spent on predicting; 0 if there were none.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^predict;dur=[0-9]+(\.[0-9]+)?$"},
    },
}

_RETRY_AFTER = {
    "description": "Seconds after which to come again.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}

_CHALLENGE = {
    "description": "How to prove who is asking.",
    "required": True,
    "schema": {"type": "string"},
}

_FURTHER_HEADERS = {
    "401": {"WWW-Authenticate": _CHALLENGE},
    "429": {"Retry-After": _RETRY_AFTER},
    "503": {"Retry-After": _RETRY_AFTER},
}

# Why readiness can be refused; `routes` knows when.
NOT_READY = {
    "model": problem_of(ModelUnusable()),
    "stopping": problem_of(Stopping()),
}


def describe_api(
    app: FastAPI, schemas: Schemas, predictor: Predictor, keyed: bool = False
) -> dict[str, Any]:
    """
    Return the whole OpenAPI document.

    Parameters
    ----------
    app : FastAPI
        Holds every route but those for predictions.
    schemas : Schemas
        Documents of ``/v1/predict``.
    predictor : Predictor
        Answers the examples.
    keyed : bool
        Whether everything under a version needs a key.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    _describe_schemas(document, schemas)
    _show_answers(document, predictor)
    document["paths"][PATH] = {"post": _describe_predict(schemas, predictor)}
    malformed = problem_response("The path has a control character.", 400)
    paths, protocol = describe_protocol(predictor, malformed)
    document["paths"].update(paths)
    document["components"]["schemas"].update(protocol)
    for operations in document["paths"].values():
        for method in operations.keys() & {"get", "post"}:
            operations[method] = _describe_headers(operations[method])
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


def problem_response(
    description: str, status: int, examples: Mapping[str, Problem] | None = None
) -> dict[str, Any]:
    """
    Return how an error answer is described.

    Parameters
    ----------
    description : str
        When it is given.
    status : int
        Its HTTP status.
    examples : mapping of str to Problem, optional
        By a word on the reason; without them, the bare status.
    """
    shown = examples or {"problem": problem_of_status(status, {})}
    return {
        "description": description,
        "content": {
            PROBLEM_TYPE: {
                "schema": {"$ref": _SCHEMA.format(model="ProblemBody")},
                "examples": {
                    reason: {"value": json.loads(problem.body(_REQUEST_ID))}
                    for reason, problem in shown.items()
                },
            }
        },
    }


def _describe_schemas(document: dict[str, Any], schemas: Schemas) -> None:
    components = document.setdefault("components", {}).setdefault("schemas", {})
    answer = schemas.answer.json_schema(ref_template=_SCHEMA, mode="serialization")
    problem = ProblemBody.model_json_schema(ref_template=_SCHEMA)
    request = schemas.request.json_schema(ref_template=_SCHEMA)
    for schema in (request, answer, problem):
        components.update(schema.pop("$defs", {}))
        components[schema["title"]] = schema


def _show_answers(document: dict[str, Any], predictor: Predictor) -> None:
    card = predictor.card
    api_version = document["info"]["version"]
    answers = {
        "/v1/model": card.model_dump(mode="json"),
        "/health": {
            "name": "iris_api",
            "api_version": api_version,
            "model_version": card.version,
        },
        "/livez": {"status": "alive"},
        "/readyz": {"status": "ready"},
    }
    for path, answer in answers.items():
        response = document["paths"][path]["get"]["responses"]["200"]
        response["content"][MEDIA_TYPE]["example"] = answer


def _describe_headers(operation: dict[str, Any]) -> dict[str, Any]:
    responses = {}
    for status, response in operation["responses"].items():
        further = _FURTHER_HEADERS.get(status, {})
        headers = {**response.get("headers", {}), **_HEADERS, **further}
        responses[status] = {**response, "headers": headers}
    parameters = [*operation.get("parameters", []), _PARAMETER]
    return {**operation, "parameters": parameters, "responses": responses}


def _describe_predict(schemas: Schemas, predictor: Predictor) -> dict[str, Any]:
    refusals = _refusals(schemas, predictor)
    return {
        "tags": ["predict"],
        "summary": f"Predict 1 to {MAX_ROWS:,} rows",
        "description": "One prediction a row, in order. Nothing is coerced: numbers "
        "are numbers, unknown and repeated fields are refused.",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _SCHEMA.format(model="PredictRequest")},
                    "example": {"inputs": [predictor.example]},
                }
            },
        },
        "responses": {
            "200": {
                "description": "Answered, and on record.",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": _SCHEMA.format(model="PredictAnswer")},
                        "example": _example_answer(predictor),
                    }
                },
            },
            **{
                str(status): problem_response(when, status, refusals.get(status))
                for status, when in _WHEN.items()
            },
        },
    }


def _refusals(schemas: Schemas, predictor: Predictor) -> dict[int, dict[str, Problem]]:
    names = [feature.name for feature in predictor.card.features]
    parser = InputParser(schemas.request, names)
    name, *others = names
    rest = {other: predictor.example[other] for other in others}
    misspelt = {name[:-1] + name[-1] * 2: predictor.example[name]}
    return {
        400: {"cut short": _refusal_of(parser, b'{"inputs": [{')},
        401: {
            "no key": problem_of(
                KeyRefused("send your key, once, in the header X-API-Key")
            )
        },
        413: {"too large": problem_of(BodyTooLarge())},
        415: {"content type": _refusal_of_headers()},
        422: {
            "misspelt field": _refusal_of_rows(parser, [{**rest, **misspelt}]),
            "missing field": _refusal_of_rows(parser, [rest]),
            "text": _refusal_of_rows(parser, [{**rest, name: "text"}]),
            "no rows": _refusal_of_rows(parser, []),
        },
        429: {"too many": problem_of(TooManyRequests(1))},
        503: {
            "no record": problem_of(RecordNotWritten()),
            "stopping": problem_of(Stopping()),
        },
    }


def _refusal_of_rows(parser: InputParser, rows: list[Any]) -> Problem:
    return _refusal_of(parser, json.dumps({"inputs": rows}).encode())


def _refusal_of(parser: InputParser, body: bytes) -> Problem:
    try:
        parser.parse(body)
    except (InvalidInputs, MalformedJson) as error:
        return problem_of(error)
    raise AssertionError("an example of what is refused is not")


def _refusal_of_headers() -> Problem:
    try:
        check_headers([])
    except UnsupportedBody as error:
        return problem_of(error)
    raise AssertionError("a body without a content type is not refused")


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
