"""What a client gets for good input."""

import json
import re

import pytest
from api_server import JSON, ROW, row_with, send_bytes

import iris_model

# Literals would tie these tests to one version, and promoting another is routine.
GOLDEN = iris_model.load().manifest.golden_rows[0]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_predict_answers_the_promised_shape_when_one_row_is_sent(server):
    assert list(ROW.values()) == GOLDEN.values
    reply = server.predict({"inputs": [ROW]})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {
        "model": {"name": "iris_model", "version": iris_model.__version__},
        "predictions": [
            {
                "label": "setosa",
                "probabilities": {
                    "setosa": pytest.approx(GOLDEN.probabilities[0], abs=1e-9),
                    "versicolor": pytest.approx(GOLDEN.probabilities[1], abs=1e-9),
                    "virginica": pytest.approx(GOLDEN.probabilities[2], abs=1e-9),
                },
                "out_of_range": [],
            }
        ],
    }


def test_predict_ignores_order_of_fields_when_they_are_shuffled(server):
    shuffled = dict(sorted(ROW.items(), reverse=True))
    reply = server.predict({"inputs": [shuffled]})
    assert reply.json == server.predict({"inputs": [ROW]}).json


def test_predict_keeps_order_of_rows_when_there_are_a_thousand(server):
    small = {**ROW, "petal_length_cm": 1.4}
    large = {
        "sepal_length_cm": 6.3,
        "sepal_width_cm": 3.3,
        "petal_length_cm": 6.0,
        "petal_width_cm": 2.5,
    }
    reply = server.predict({"inputs": [small, large] * 500})
    labels = [one["label"] for one in reply.json["predictions"]]
    assert labels == ["setosa", "virginica"] * 500


def test_predict_names_features_out_of_range_when_a_value_was_never_trained(server):
    reply = server.predict(
        {"inputs": [{**ROW, "petal_width_cm": 9, "sepal_width_cm": 1}]}
    )
    assert reply.json["predictions"][0]["out_of_range"] == [
        "sepal_width_cm",
        "petal_width_cm",
    ]


@pytest.mark.parametrize("number", ["5", "5.0", "5e0", "50E-1", "5." + "0" * 4000])
def test_predict_takes_any_spelling_when_it_is_a_number(server, number):
    reply = server.predict(row_with("sepal_length_cm", number))
    plain = server.predict(row_with("sepal_length_cm", "5"))
    assert reply.status == 200
    assert reply.json == plain.json


@pytest.mark.parametrize("number", ["18446744073709551616", "9" * 30, "-" + "9" * 100])
def test_predict_takes_whole_numbers_when_float64_holds_them(server, number):
    reply = server.predict(row_with("sepal_length_cm", number))
    assert reply.status == 200
    assert reply.json["predictions"][0]["out_of_range"] == ["sepal_length_cm"]


def test_predict_takes_escaped_names_when_they_spell_a_feature(server):
    body = json.dumps({"inputs": [ROW]}).replace("sepal_l", "\\u0073epal_l").encode()
    assert server.predict(body).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json ; charset=UTF-8",
    ],
)
def test_predict_takes_json_when_utf_8_is_stated(server, kind):
    reply = server.predict({"inputs": [ROW]}, {"Content-Type": kind})
    assert reply.status == 200


def test_predict_takes_a_body_when_it_comes_in_chunks(server):
    halves = [b'{"inputs": [', json.dumps(ROW).encode() + b"]}"]
    reply = server.send("POST", "/v1/predict", iter(halves), JSON)
    assert reply.status == 200


def test_predict_answers_each_request_when_they_are_pipelined(server):
    body = json.dumps({"inputs": [ROW]}).encode()
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    last = head.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answers = send_bytes(server.port, (head + body) * 2 + last + body)
    assert answers.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("path", ["/health", "/v1/model", "/nowhere", "/v1/predict"])
def test_request_id_comes_back_when_it_is_well_formed(server, path):
    reply = server.send("GET", path, headers={"X-Request-ID": "Order-66_a.b"})
    assert reply.headers["X-Request-ID"] == "Order-66_a.b"
    assert reply.headers["Server-Timing"] == "predict;dur=0"


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "<script>", '"', "é"])
def test_request_id_is_made_when_it_is_malformed(server, given):
    reply = server.predict({"inputs": [ROW]}, {**JSON, "X-Request-ID": given})
    assert re.fullmatch("[0-9a-f]{16}", reply.headers["X-Request-ID"])


def test_server_timing_tells_milliseconds_when_something_was_predicted(server):
    reply = server.predict({"inputs": [ROW]})
    timing = re.fullmatch(r"predict;dur=(\d+\.\d{3})", reply.headers["Server-Timing"])
    assert 0 < float(timing[1]) < 1000


def test_record_holds_the_whole_prediction_when_it_was_answered(server):
    sent = {**JSON, "X-Request-ID": "on-record", "traceparent": TRACEPARENT}
    reply = server.predict({"inputs": [ROW]}, sent)
    record = server.read_records()[-1]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record.pop("time")
    )
    assert record.pop("duration_ms") > 0
    assert record == {
        "request_id": "on-record",
        "traceparent": TRACEPARENT,
        "model": {"name": "iris_model", "version": iris_model.__version__},
        "inputs": [ROW],
        "labels": ["setosa"],
        "probabilities": [reply.json["predictions"][0]["probabilities"]],
    }
