"""The unit knows nothing of iris: another table works, and so do its failures."""

import json
from pathlib import Path

import pytest
from api_fakes import NAMES, BrokenModel, WineModel, serve_model
from api_server import JSON, send
from loguru import logger

import iris_api
from iris_api.telemetry.talk import format_talk

ROW = {name: 1.0 for name in NAMES}
ANSWER = {
    "model": {"name": "wine_model", "version": "7.0.1"},
    "predictions": [
        {
            "label": "barolo",
            "probabilities": {"barolo": 1.0, "grignolino": 0.0},
            "out_of_range": [],
        }
    ],
}


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a server of the wine model."""
    with serve_model(WineModel(), tmp_path_factory.mktemp("wine") / "r.jsonl") as port:
        yield port


def predict(port, document):
    """Post a document."""
    return send(port, "POST", "/v1/predict", json.dumps(document).encode(), JSON)


def test_other_model_predicts_when_its_features_have_awkward_names(port):
    reply = predict(port, {"inputs": [ROW]})
    assert (reply.status, reply.json) == (200, ANSWER)


def test_other_model_takes_raw_names_when_they_are_not_escaped(port):
    body = json.dumps({"inputs": [ROW]}, ensure_ascii=False).encode()
    assert send(port, "POST", "/v1/predict", body, JSON).status == 200


def test_other_model_refuses_a_repeated_field_when_its_name_holds_a_quote(port):
    body = json.dumps({"inputs": [ROW]}).replace('{"alc', '{"a\\u0022b": 2, "alc')
    reply = send(port, "POST", "/v1/predict", body.encode(), JSON)
    assert reply.status == 422
    detail = "field is there more than once; keep one"
    assert reply.json["errors"] == [{"pointer": '/inputs/0/a"b', "detail": detail}]


def test_other_model_points_at_rows_when_it_has_no_answer(port):
    extreme = {**ROW, "ash": 1e308}
    reply = predict(port, {"inputs": [ROW, extreme, ROW, extreme]})
    assert reply.status == 422
    detail = "the model has no answer for values this extreme"
    assert reply.json["errors"] == [
        {"pointer": "/inputs/1", "detail": detail},
        {"pointer": "/inputs/3", "detail": detail},
    ]


def test_other_model_documents_itself_when_asked(port):
    text = send(port, "GET", "/openapi.json").body.decode()
    assert "setosa" not in text and "sepal" not in text
    schemas = json.loads(text)["components"]["schemas"]
    assert schemas["PredictRow"]["required"] == list(NAMES)
    assert schemas["Prediction"]["properties"]["label"]["enum"] == [
        "barolo",
        "grignolino",
    ]


def test_source_names_no_measurement_and_no_species():
    words = ("sepal", "petal", "setosa", "versicolor", "virginica", "species")
    for path in Path(iris_api.__file__).parent.rglob("*.py"):
        text = path.read_text().lower()
        assert [word for word in words if word in text] == [], path


def test_readiness_is_refused_when_golden_rows_are_not_answered(tmp_path):
    with serve_model(BrokenModel(), tmp_path / "r.jsonl") as port:
        reply = send(port, "GET", "/readyz")
        assert send(port, "GET", "/livez").status == 200
    assert reply.status == 503
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Retry-After"] == "5"
    assert reply.json["detail"] == "the model does not answer as it should"
    assert b"secret" not in reply.body


def test_log_takes_one_line_when_an_error_holds_line_ends():
    lines = []
    sink = logger.add(lines.append, format=format_talk, level="ERROR")
    try:
        raise ValueError("one\n2026-11-23 ERROR forged\x1b[31m")
    except ValueError:
        logger.exception("request {} failed", "{extra}")
    finally:
        logger.remove(sink)
    (line,) = lines
    assert line.count("\n") == 1
    assert "ERROR request {extra} failed\\nTraceback" in line
    assert "\\n2026-11-23 ERROR forged\\x1b[31m" in line


def test_answer_gives_nothing_away_when_something_unforeseen_happens(tmp_path):
    with serve_model(BrokenModel(), tmp_path / "r.jsonl") as port:
        reply = predict(port, {"inputs": [{**ROW, "alcohol": 2.0}]})
        assert predict(port, {"inputs": [ROW]}).status == 200
    assert reply.status == 500
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "something went wrong here; quote request_id when you report it",
        "request_id": reply.headers["X-Request-ID"],
    }
