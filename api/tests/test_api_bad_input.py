"""What a client gets for bad input: a problem that helps and gives nothing away."""

import json

import pytest
from api_server import JSON, ROW, check_problem, row_with

FIELD = "sepal_length_cm"
GOOD = json.dumps({"inputs": [ROW]}).encode()
NOT_A_NUMBER = "must be a number, written without quotes"
TOO_MUCH = {
    "pointer": "",
    "detail": "too much to look into; send 1 to 1,000 rows of the model's fields alone",
}
NOT_FINITE = "must be a finite number"


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ('"5.1"', NOT_A_NUMBER),
        ('"\\u0000"', NOT_A_NUMBER),
        ("true", NOT_A_NUMBER),
        ("false", NOT_A_NUMBER),
        ("null", NOT_A_NUMBER),
        ("[5.1]", NOT_A_NUMBER),
        ("{}", NOT_A_NUMBER),
        ("NaN", NOT_FINITE),
        ("Infinity", NOT_FINITE),
        ("-Infinity", NOT_FINITE),
        ("1e400", NOT_FINITE),
        ("-1e400", NOT_FINITE),
        ("1e99999999999", NOT_FINITE),
        ("9" * 400, NOT_FINITE),
    ],
)
def test_value_is_refused_when_it_is_no_finite_number(server, value, detail):
    problem = check_problem(server.predict(row_with(FIELD, value)), 422)
    assert problem["errors"] == [{"pointer": f"/inputs/0/{FIELD}", "detail": detail}]


@pytest.mark.parametrize("value", ["1" * 5000, "-" + "1" * 5000])
def test_value_is_refused_when_it_has_too_many_digits(server, value):
    problem = check_problem(server.predict(row_with(FIELD, value)), 400)
    assert problem["detail"].startswith("a number has too many digits (line 1, column ")


def test_value_is_taken_as_a_number_when_its_fraction_has_thousands_of_digits(server):
    assert server.predict(row_with(FIELD, "5." + "1" * 5000)).status == 200


@pytest.mark.parametrize("number", ["1e308", "-1e308"])
def test_row_is_refused_or_answered_when_arithmetic_may_overflow(server, number):
    row = {name: 0 for name in ROW}
    body = json.dumps({"inputs": [row, row]}).replace("0", number).encode()
    reply = server.predict(body)
    if reply.status != 200:
        problem = check_problem(reply, 422)
        assert problem["errors"][0]["pointer"] == "/inputs/0"


def test_field_is_proposed_when_an_unknown_one_is_near(server):
    row = {**ROW, "petal_lenght_cm": 1}
    problem = check_problem(server.predict({"inputs": [row]}), 422)
    assert problem["errors"] == [
        {
            "pointer": "/inputs/0/petal_lenght_cm",
            "detail": "unknown field `petal_lenght_cm`, "
            "did you mean `petal_length_cm`?",
        }
    ]


def test_every_fault_is_listed_when_fields_are_missing_and_unknown(server):
    problem = check_problem(server.predict({"inputs": [{"zzz": 1}]}), 422)
    missing = "required field is missing; add it"
    assert problem["errors"] == [
        *({"pointer": f"/inputs/0/{name}", "detail": missing} for name in ROW),
        {"pointer": "/inputs/0/zzz", "detail": "unknown field `zzz`; remove it"},
    ]


@pytest.mark.parametrize(
    ("document", "pointer", "detail"),
    [
        ({"input": [ROW]}, "/input", "`input`, did you mean `inputs`?"),
        (ROW, "/sepal_length_cm", "`sepal_length_cm`; remove it"),
        ({"inputs": [{"inputs": ROW}]}, "/inputs/0/inputs", "`inputs`; remove it"),
    ],
)
def test_field_is_proposed_for_its_place_when_it_is_known_elsewhere(
    server, document, pointer, detail
):
    problem = check_problem(server.predict(document), 422)
    expected = {"pointer": pointer, "detail": f"unknown field {detail}"}
    assert expected in problem["errors"]


def test_faults_are_only_counted_when_there_are_thousands(server):
    unknown = {str(number): 1 for number in range(20_000)}
    problem = check_problem(server.predict({"inputs": [{**ROW, **unknown}]}), 422)
    assert problem["errors"] == [TOO_MUCH]
    assert problem["more_errors"] == 20_000


@pytest.mark.parametrize("piece", ["{},", "[],", '{"a":{"a":{"a":1}}},', "[" * 60])
def test_document_is_refused_unread_when_it_is_full_of_brackets(server, piece):
    body = '{"inputs": [' + piece * (200_000 // len(piece)) + "1]}"
    problem = check_problem(server.predict(body.encode()), 422)
    assert problem["errors"] == [TOO_MUCH]


def test_faults_are_counted_when_there_are_more_than_twenty(server):
    problem = check_problem(server.predict({"inputs": [{}] * 100}), 422)
    assert len(problem["errors"]) == 20
    assert problem["more_errors"] == 380


def test_problem_stays_small_when_all_names_are_long(server):
    row = {f"{number:060d}": 1 for number in range(500)}
    problem = check_problem(server.predict({"inputs": [{**ROW, **row}]}), 422)
    assert len(problem["errors"]) + problem["more_errors"] == 500


@pytest.mark.parametrize(
    "key", ["k" * 65, "a\u202eb", "\x00", "line\nbreak", "\u2028", "\ue000"]
)
def test_name_is_not_shown_when_it_is_long_or_odd(server, key):
    problem = check_problem(server.predict({"inputs": [{**ROW, key: 1}]}), 422)
    assert problem["errors"] == [
        {"pointer": "/inputs/0", "detail": "unknown field; remove it"}
    ]


def test_field_is_proposed_when_an_invisible_character_hides_in_its_name(server):
    row = {**ROW, "\ufeffsepal_length_cm": 1}
    problem = check_problem(server.predict({"inputs": [row]}), 422)
    detail = "unknown field, did you mean `sepal_length_cm`?"
    assert problem["errors"] == [{"pointer": "/inputs/0", "detail": detail}]


def test_pointer_is_escaped_when_a_name_holds_its_separators(server):
    problem = check_problem(server.predict({"inputs": [ROW], "a/b~c": 1}), 422)
    assert problem["errors"][0]["pointer"] == "/a~1b~0c"


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        (b'{"sepal_w', b'{"sepal_length_cm": 1, "sepal_w', None),
        (b'"sepal_l', b'"sepal_length_cm": 1, "sepal_l', "/inputs/0/sepal_length_cm"),
        (b'"sepal_l', b'"sepal_length_cm": "x", "sepal_l', "/inputs/0/sepal_length_cm"),
        (
            b'"sepal_l',
            b'"\\u0073epal_length_cm":1,"sepal_l',
            "/inputs/0/sepal_length_cm",
        ),
        (b'{"inputs', b'{"inputs": [], "inputs', "/inputs"),
        (b'{"inputs', b'{"inputs": {"a": {"a": 9}}, "inputs', "/inputs"),
    ],
)
def test_field_is_refused_when_it_is_there_twice(server, old, new, pointer):
    reply = server.predict(GOOD.replace(old, new, 1))
    if pointer is None:  # nothing was replaced: the control
        assert reply.status == 200
        return
    problem = check_problem(reply, 422)
    detail = "field is there more than once; keep one"
    assert problem["errors"] == [{"pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("document", "pointer", "detail"),
    [
        ({"inputs": []}, "/inputs", "must hold 1 to 1,000 rows"),
        (
            {"inputs": [ROW] * 1001},
            "/inputs",
            "must hold 1 to 1,000 rows; split the request",
        ),
        ({"inputs": ROW}, "/inputs", "must be a list of rows"),
        ({"inputs": None}, "/inputs", "must be a list of rows"),
        ({"inputs": [[5.1, 3.5, 1.4, 0.2]]}, "/inputs/0", "must be an object"),
        ({}, "/inputs", "required field is missing; add it"),
        ([], "", "must be an object"),
        ("text", "", "must be an object"),
        (1, "", "must be an object"),
        (None, "", "must be an object"),
    ],
)
def test_document_is_refused_when_its_shape_is_wrong(server, document, pointer, detail):
    problem = check_problem(server.predict(document), 422)
    assert problem["errors"] == [{"pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            b"",
            "the document ends too early (line 1, column 0); send UTF-8 encoded JSON",
        ),
        (GOOD[:-3], "the document ends too early"),
        (b"[" * 2_000, "the document is nested too deeply"),
        (b'{"a":' * 2_000, "the document is nested too deeply"),
        (GOOD + b"x", "the body is not JSON"),
        (GOOD + GOOD, "the body is not JSON"),
        (GOOD + b"\x00", "the body is not JSON"),
        (b"\x00" + GOOD, "the body is not JSON"),
        (b'{"\xff": 1}', "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"\xef\xbb\xbf" + GOOD, "the body is not JSON"),
        (GOOD.decode().encode("utf-16"), "the body is not JSON"),
        (GOOD.decode().encode("utf-16-le"), "the body is not JSON"),
        (b'{"inputs": [{"\\ud800": 1}]}', "the body is not JSON"),
        (b'{"inputs": "\\udc00"}', "the body is not JSON"),
        (b'{"inputs": "\xed\xa0\x80"}', "the body is not JSON"),
        (b'{"inputs": "\x00"}', "the body is not JSON"),
        (row_with(FIELD, "05"), "the body is not JSON"),
        (row_with(FIELD, "0x10"), "the body is not JSON"),
        (row_with(FIELD, "+1"), "the body is not JSON"),
        (row_with(FIELD, "1."), "the body is not JSON"),
        (b"{'inputs': []}", "the body is not JSON"),
        (GOOD.replace(b"]", b",]"), "the body is not JSON"),
    ],
)
def test_body_is_refused_when_it_is_not_json(server, body, detail):
    problem = check_problem(server.predict(body), 400)
    assert problem["detail"].startswith(detail)


def test_body_is_refused_when_it_exceeds_256_kib(server):
    problem = check_problem(server.predict(GOOD + b" " * 257 * 1024), 413)
    assert problem["detail"] == "the body exceeds 256 KiB; split the request"


def test_body_is_refused_when_its_chunks_exceed_256_kib(server):
    chunks = iter([b" " * 65_536] * 5)
    check_problem(server.send("POST", "/v1/predict", chunks, JSON), 413)


def test_body_is_taken_when_it_has_256_kib_to_the_byte(server):
    assert server.predict(GOOD.ljust(256 * 1024)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/*"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "appli cation/json"},
        {"Content-Type": "multipart/form-data; boundary=application/json"},
        {"Content-Type": "application/json; charset=utf-8; charset=utf-16"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
    ],
)
def test_body_is_refused_when_it_is_not_announced_as_json(server, headers):
    problem = check_problem(server.predict(GOOD, headers), 415)
    assert problem["detail"] == "send Content-Type: application/json, in UTF-8"


@pytest.mark.parametrize(
    "kind",
    [
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json ; charset="utf-8" ',
        "application/json; version=1",
    ],
)
def test_body_is_taken_when_it_is_announced_as_json_in_another_way(server, kind):
    assert server.predict(GOOD, {"Content-Type": kind}).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_body_is_refused_when_it_is_compressed(server, encoding):
    reply = server.predict(GOOD, {**JSON, "Content-Encoding": encoding})
    problem = check_problem(reply, 415)
    assert problem["detail"] == "send the body without Content-Encoding"
