"""The OpenAPI document: valid, and with examples that are what the server answers."""

import json
from copy import deepcopy

import pytest
from api_server import JSON, ROW, start_server
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from iris_api.access.keys import make_key

GOOD = json.dumps({"inputs": [ROW]}).encode()
FURTHER = {
    "401": {"WWW-Authenticate"},
    "429": {"Retry-After"},
    "503": {"Retry-After"},
}
REST = {name: ROW[name] for name in list(ROW)[1:]}


@pytest.fixture(scope="module")
def openapi(server):
    """The OpenAPI document."""
    return server.send("GET", "/openapi.json").json


def responses_of(openapi):
    """Return every response in the document, by operation and status."""
    return {
        (operation["operationId"], status): response
        for path in openapi["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
    }


def examples_of(media):
    """Return the examples of a media type, by name."""
    named = {name: one["value"] for name, one in media.get("examples", {}).items()}
    return named | ({"only": media["example"]} if "example" in media else {})


def check_examples(openapi):
    """Assert that every answer with a body has examples, and that they fit."""
    for place, response in responses_of(openapi).items():
        for media in response.get("content", {}).values():
            if media["schema"].get("format") == "binary":
                continue
            schema = {**media["schema"], "components": openapi["components"]}
            examples = examples_of(media)
            assert examples, place
            for example in examples.values():
                Draft202012Validator(schema).validate(example)


def test_openapi_is_valid_when_held_to_the_specification(openapi):
    assert openapi["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(openapi).validate()


def test_openapi_names_each_operation_shortly_when_asked(openapi):
    names = [name for name, status in responses_of(openapi) if status == "200"]
    ours = [name for name in names if not name.startswith("v2_")]
    assert sorted(ours) == ["health", "livez", "metrics", "model", "predict", "readyz"]
    assert len(set(names)) == len(names)


def test_openapi_shows_examples_that_fit_when_asked(openapi):
    check_examples(openapi)


def test_openapi_example_is_noticed_when_it_does_not_fit(openapi):
    wrong = deepcopy(openapi)
    media = wrong["paths"]["/v1/predict"]["post"]["responses"]["413"]["content"]
    (example,) = media["application/problem+json"]["examples"].values()
    example["value"]["status"] = "413"
    with pytest.raises(ValidationError):
        check_examples(wrong)


def test_openapi_describes_headers_of_every_answer_when_asked(openapi):
    for (_, status), response in responses_of(openapi).items():
        expected = {"X-Request-ID", "Server-Timing"}
        assert response["headers"].keys() == expected | FURTHER.get(status, set())


@pytest.mark.parametrize("path", ["/v1/model", "/health", "/livez", "/readyz"])
def test_openapi_example_is_real_when_its_path_is_asked(server, openapi, path):
    response = openapi["paths"][path]["get"]["responses"]["200"]
    example = response["content"]["application/json"]["example"]
    assert server.send("GET", path).json == example


def example_of(openapi, path, method, status, name):
    """Return an example of a problem, without its request id."""
    response = openapi["paths"][path][method]["responses"][str(status)]
    media = response["content"]["application/problem+json"]
    return without_id(media["examples"][name]["value"])


def without_id(problem):
    """Return a problem without what no two have in common."""
    return {name: value for name, value in problem.items() if name != "request_id"}


@pytest.mark.parametrize(
    ("status", "name", "body", "headers"),
    [
        (400, "cut short", b'{"inputs": [{', JSON),
        (413, "too large", GOOD.ljust(256 * 1024 + 1), JSON),
        (415, "content type", GOOD, {}),
        (422, "misspelt field", [{**REST, "sepal_length_cmm": 5.1}], JSON),
        (422, "missing field", [REST], JSON),
        (422, "text", [{**REST, "sepal_length_cm": "text"}], JSON),
        (422, "no rows", [], JSON),
    ],
)
def test_openapi_example_is_real_when_a_prediction_is_refused(
    server, openapi, status, name, body, headers
):
    if isinstance(body, list):
        body = json.dumps({"inputs": body}).encode()
    reply = server.predict(body, headers)
    assert reply.status == status
    expected = example_of(openapi, "/v1/predict", "post", status, name)
    assert without_id(reply.json) == expected


@pytest.mark.slow
def test_openapi_example_is_real_when_nothing_can_be_recorded(openapi):
    expected = example_of(openapi, "/v1/predict", "post", 503, "no record")
    with start_server(IRIS_API_RECORDS="/dev/full") as full:
        assert without_id(full.predict(GOOD).json) == expected


@pytest.mark.slow
def test_openapi_examples_are_real_when_clients_are_kept_out(openapi, tmp_path):
    key, line = make_key("somebody")
    (tmp_path / "keys").write_text(f"{line}\n")
    settings = {
        "IRIS_API_KEYS": str(tmp_path / "keys"),
        "IRIS_API_RATE_LIMIT": "1/second",
    }
    with start_server(IRIS_API_RECORDS="/dev/null", **settings) as server:
        refused = server.predict(GOOD)
        sent = {**JSON, "X-API-Key": key}
        replies = [server.predict(GOOD, sent) for _ in range(5)]
    unknown = example_of(openapi, "/v1/predict", "post", 401, "no key")
    assert without_id(refused.json) == unknown
    too_many = example_of(openapi, "/v1/predict", "post", 429, "too many")
    late = next(reply for reply in replies if reply.status == 429)
    assert without_id(late.json) == too_many
    assert refused.headers["WWW-Authenticate"] and late.headers["Retry-After"] == "1"
