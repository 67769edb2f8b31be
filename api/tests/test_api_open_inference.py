"""The Open Inference Protocol under /v2: what clients that speak it get."""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import protocol_schemas as protocol
import pytest
from api_fakes import NAMES, BrokenModel, WineModel, serve_model
from api_server import JSON, ROW, send, start_server
from test_api_metrics import scrape

import iris_api
import iris_model

MODEL = "/v2/models/iris_model"
INFER = f"{MODEL}/infer"
VERSION = iris_model.__version__
LARGE = (6.3, 3.3, 6.0, 2.5)
VALUES = [*ROW.values(), *LARGE]
TENSOR = {"name": "features", "shape": [2, 4], "datatype": "FP64", "data": VALUES}
CANARY = "canary_7f3a"


def infer(server, document, headers=JSON, path=INFER):
    """Post a document, bytes as they are and anything else as JSON."""
    if not isinstance(document, bytes):
        document = json.dumps(document).encode()
    return server.send("POST", path, document, headers)


def check_error(reply, status, text=None):
    """Assert that an answer is an error as the protocol has it."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/json"
    assert len(reply.body) <= 4096
    protocol.check_document(reply.json, protocol.ERROR)
    assert list(reply.json) == ["error"]
    assert CANARY not in reply.json["error"]
    if text is not None:
        assert reply.json["error"] == text


def outputs_of(reply):
    """Return the outputs of an answer by name, once it is seen to be right."""
    assert reply.status == 200, reply.body
    protocol.check_document(reply.json, protocol.RESPONSE)
    return {output["name"]: output for output in reply.json["outputs"]}


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata_names_the_extension_when_asked(server, path):
    reply = server.send("GET", path)
    protocol.check_document(reply.json, protocol.SERVER_METADATA)
    assert reply.json == {
        "name": "iris_api",
        "version": iris_api.__version__,
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        (f"{MODEL}/ready", {"name": "iris_model", "ready": True}),
        (f"{MODEL}/versions/{VERSION}/ready", {"name": "iris_model", "ready": True}),
    ],
)
def test_health_is_told_when_all_is_well(server, path, document):
    reply = server.send("GET", path)
    assert (reply.status, reply.json) == (200, document)
    head = server.send("HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/{VERSION}"])
def test_model_metadata_names_features_and_classes_when_asked(server, path):
    reply = server.send("GET", path)
    protocol.check_document(reply.json, protocol.MODEL_METADATA)
    (given,) = reply.json["inputs"]
    assert given["parameters"] == {"columns": list(ROW)}
    assert (given["datatype"], given["shape"]) == ("FP64", [-1, 4])
    label, probabilities = reply.json["outputs"]
    classes = ["setosa", "versicolor", "virginica"]
    assert label["parameters"] == {"classes": classes}
    assert (label["datatype"], label["shape"]) == ("BYTES", [-1])
    assert probabilities["parameters"] == {"columns": classes}
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP64", [-1, 3])
    assert reply.json["versions"] == [VERSION]


@pytest.mark.parametrize("path", [INFER, f"{MODEL}/versions/{VERSION}/infer"])
def test_infer_answers_as_predict_does_when_rows_are_sent_as_a_tensor(server, path):
    protocol.check_document({"inputs": [TENSOR]}, protocol.REQUEST)
    reply = infer(server, {"inputs": [TENSOR]}, path=path)
    outputs = outputs_of(reply)
    rows = [ROW, dict(zip(ROW, LARGE))]
    predictions = server.predict({"inputs": rows}).json["predictions"]
    shares = [share for one in predictions for share in one["probabilities"].values()]
    assert reply.json["model_name"] == "iris_model"
    assert reply.json["model_version"] == VERSION
    assert "id" not in reply.json
    assert outputs["label"] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [2],
        "data": ["setosa", "virginica"],
    }
    assert outputs["probabilities"] == {
        "name": "probabilities",
        "datatype": "FP64",
        "shape": [2, 3],
        "data": pytest.approx(shares, abs=1e-12),
    }


def test_openapi_example_is_real_when_it_is_sent_as_a_tensor(server):
    paths = server.send("GET", "/openapi.json").json["paths"]
    infer_one = paths["/v2/models/{name}/infer"]["post"]
    request = infer_one["requestBody"]["content"]["application/json"]["example"]
    answer = infer_one["responses"]["200"]["content"]["application/json"]["example"]
    assert infer(server, request).json == answer


def test_readme_request_is_answered_when_it_is_sent(server):
    text = (Path(__file__).parent.parent / "README.md").read_text()
    ((path, document),) = re.findall(r"8001(/v2\S+/infer) .*\n +-d '(.+)'", text)
    outputs = outputs_of(infer(server, document.encode(), path=path))
    assert outputs["label"]["data"] == ["setosa"]


@pytest.mark.slow
def test_infer_is_recorded_and_counted_when_it_was_answered(tmp_path):
    with start_server(IRIS_API_RECORDS=str(tmp_path / "records.jsonl")) as server:
        reply = infer(server, {"inputs": [TENSOR]}, {**JSON, "X-Request-ID": "v2-1"})
        assert reply.headers["X-Request-ID"] == "v2-1"
        assert reply.headers["Server-Timing"].startswith("predict;dur=")
        (record,) = server.read_records()
        page = scrape(server.port)
    assert record["request_id"] == "v2-1"
    assert record["inputs"] == [ROW, dict(zip(ROW, LARGE))]
    assert record["labels"] == ["setosa", "virginica"]
    assert list(record["probabilities"][0]) == ["setosa", "versicolor", "virginica"]
    assert record["duration_ms"] > 0
    assert page.value("model_confidence_ratio_count") == 2
    labels = {"method": "POST", "route": "/v2/models/{name}/infer", "status": "200"}
    assert page.value("http_server_request_duration_seconds_count", **labels) == 1


@pytest.mark.parametrize(
    "data", [[VALUES[:4], VALUES[4:]], VALUES, [5, 3, 1, 0, 6, 3, 6, 2]]
)
def test_infer_takes_data_when_it_is_nested_flat_or_whole(server, data):
    outputs = outputs_of(infer(server, {"inputs": [{**TENSOR, "data": data}]}))
    assert outputs["label"]["data"] == ["setosa", "virginica"]


def columns(shape, order=1):
    """Return a tensor for each feature."""
    pairs = [*zip(ROW.values(), LARGE)]
    tensors = [
        {"name": name, "shape": shape, "datatype": "FP64", "data": list(pair)}
        for name, pair in zip(ROW, pairs)
    ]
    return tensors[::order]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("order", [1, -1])
def test_infer_takes_columns_when_they_are_named_in_any_order(server, shape, order):
    whole = infer(server, {"inputs": [TENSOR]}).json
    assert infer(server, {"inputs": columns(shape, order)}).json == whole


@pytest.mark.parametrize(
    "datatype", "INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 FP32".split()
)
def test_infer_takes_any_number_type_when_it_holds_the_values(server, datatype):
    tensor = {**TENSOR, "datatype": datatype, "data": [5, 3, 1, 0, 6, 3, 6, 2]}
    whole = infer(server, {"inputs": [{**tensor, "datatype": "FP64"}]}).json
    assert infer(server, {"inputs": [tensor]}).json == whole


def test_infer_rounds_to_the_datatype_when_it_is_narrower(server):
    infer(server, {"inputs": [{**TENSOR, "datatype": "FP32"}]})
    first = server.read_records()[-1]["inputs"][0]
    assert first["sepal_length_cm"] == float(np.float32(5.1))


def test_infer_takes_the_request_of_mlserver_when_its_codecs_made_it(server):
    document = {
        "id": "b3a1",
        "parameters": {"content_type": "np", "headers": {"a": "b"}},
        "inputs": [
            {
                **TENSOR,
                "name": "predict",
                "parameters": {"content_type": "np"},
            }
        ],
        "outputs": [{"name": "label", "parameters": {"content_type": "str"}}],
    }
    reply = infer(server, document)
    assert list(outputs_of(reply)) == ["label"]
    assert reply.json["id"] == "b3a1"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([{"name": "probabilities"}], ["probabilities"]),
        (
            [{"name": "probabilities"}, {"name": "label"}],
            ["probabilities", "label"],
        ),
        ([], ["label", "probabilities"]),
    ],
)
def test_infer_gives_outputs_as_they_are_wanted_when_named(server, wanted, names):
    reply = infer(server, {"inputs": [TENSOR], "outputs": wanted})
    assert list(outputs_of(reply)) == names


BAD = "the inputs cannot be predicted: "
NUMBER = "must be a number, written without quotes"
MANY = {**TENSOR, "shape": [1001, 4], "data": [1] * 4004}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"data": ["5.1", *VALUES[1:]]}, f"/inputs/0/data/0 {NUMBER}"),
        ({"data": [True, *VALUES[1:]]}, f"/inputs/0/data/0 {NUMBER}"),
        ({"data": [*VALUES[:7], None]}, f"/inputs/0/data/7 {NUMBER}"),
        ({"data": [*VALUES[:7], CANARY]}, f"/inputs/0/data/7 {NUMBER}"),
        (
            {"data": [VALUES[:4], [*VALUES[4:7], {}]]},
            f"/inputs/0/data/1/3 {NUMBER}",
        ),
        (
            {"data": [*VALUES[:7], float("nan")]},
            "/inputs/0/data/7 must be a finite number",
        ),
        (
            {"data": [*VALUES[:7], 10**400]},
            "/inputs/0/data/7 must be a finite number",
        ),
        (
            {"data": [1e300, *VALUES[1:]], "datatype": "FP32"},
            "/inputs/0/data/0 must be a finite number",
        ),
        (
            {"datatype": "INT64", "data": [1, 1, 1, 1, 1, 1, 1, 1.5]},
            "/inputs/0/data/7 must be a whole number that INT64 holds",
        ),
        (
            {"datatype": "INT8", "data": [128, 1, 1, 1, 1, 1, 1, -129]},
            "/inputs/0/data/0 must be a whole number that INT8 holds; "
            "/inputs/0/data/7 must be a whole number that INT8 holds",
        ),
        (
            {"datatype": "UINT8", "data": [-1, 1, 1, 1, 1, 1, 1, 256]},
            "/inputs/0/data/0 must be a whole number that UINT8 holds; "
            "/inputs/0/data/7 must be a whole number that UINT8 holds",
        ),
        (
            {"data": VALUES[:7]},
            "/inputs/0/data must hold 8 values, as the shape says",
        ),
        (
            {"data": [VALUES[:4], VALUES[4:7]]},
            "/inputs/0/data/1 must be a list of 4 numbers, as the shape says",
        ),
        (
            {"data": [VALUES[:4], 1]},
            "/inputs/0/data/1 must be a list of 4 numbers, as the shape says",
        ),
        ({"data": {}}, "/inputs/0/data must be a list"),
        ({"shape": [4, 2]}, "/inputs/0/shape must be [n, 4]"),
        ({"shape": [8]}, "/inputs/0/shape must be [n, 4]"),
        ({"shape": [-1, 4]}, "/inputs/0/shape must be 1 to 1,000 rows"),
        ({"shape": [0, 4], "data": []}, "/inputs/0/shape must be 1 to 1,000 rows"),
        ({"shape": [10**30, 4]}, "/inputs/0/shape must be 1 to 1,000 rows"),
        ({"shape": [2.5, 4]}, "/inputs/0/shape/0 must be a whole number"),
        ({"shape": [True, 4]}, "/inputs/0/shape/0 must be a whole number"),
        ({"shape": [1, 2, 4]}, "/inputs/0/shape must have fewer entries"),
        ({"shape": []}, "/inputs/0/shape must not be empty"),
        (MANY, "/inputs/0/shape must be 1 to 1,000 rows"),
        (
            {"datatype": "BYTES"},
            "/inputs/0/datatype must be one of FP64, FP32, INT8, INT16, INT32, INT64, "
            "UINT8, UINT16, UINT32, UINT64",
        ),
        ({"name": 1}, "/inputs/0/name must be a string"),
        ({"extra": 1}, "/inputs/0/extra unknown field; remove it"),
        ({"parameters": []}, "/inputs/0/parameters must be an object"),
        (
            {"parameters": {"binary_data_size": 64}},
            "/inputs/0 give data or binary_data_size, not both",
        ),
        (
            {"name": "petal_width_cm"},
            '/inputs the tensor "sepal_length_cm" is missing; add it',
        ),
    ],
)
def test_infer_is_refused_when_a_tensor_is_not_what_it_says(server, change, text):
    before = server.count_records()
    check_error(infer(server, {"inputs": [{**TENSOR, **change}]}), 400, BAD + text)
    assert server.count_records() == before


@pytest.mark.parametrize("key", ["name", "shape", "datatype", "data"])
def test_infer_is_refused_when_a_tensor_lacks_a_field(server, key):
    tensor = {k: v for k, v in TENSOR.items() if k != key}
    text = f"{BAD}/inputs/0/{key} required field is missing; add it"
    check_error(infer(server, {"inputs": [tensor]}), 400, text)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "must be an object"),
        ({}, "/inputs required field is missing; add it"),
        ({"inputs": []}, "/inputs must not be empty"),
        ({"inputs": [TENSOR], "model": 1}, "/model unknown field; remove it"),
        ({"inputs": [TENSOR], "id": 5}, "/id must be a string"),
        (
            {"inputs": [TENSOR], "id": "x" * 129},
            "/id must have at most 128 characters",
        ),
        (
            {"inputs": [TENSOR, TENSOR]},
            "/inputs/0/name is no feature; the model's metadata lists them",
        ),
        (
            {"inputs": [TENSOR], "outputs": [{"name": CANARY}]},
            "/outputs/0/name is none of those in the model's metadata",
        ),
        (
            {"inputs": [TENSOR], "outputs": [{"name": "label"}] * 3},
            "/outputs must have fewer entries",
        ),
        (
            {"inputs": [TENSOR], "outputs": [{"name": "label"}] * 2},
            "/outputs/1/name is there more than once; keep one",
        ),
        (
            {"inputs": [*columns([2])[:3], columns([2])[0]]},
            "/inputs/3/name is there more than once; keep one",
        ),
        (
            {"inputs": columns([2])[:3]},
            '/inputs the tensor "petal_width_cm" is missing; add it',
        ),
        (
            {"inputs": [*columns([2])[:3], {**columns([1])[3], "data": [1]}]},
            "/inputs all tensors must have as many rows",
        ),
        (
            {"inputs": columns([2, 2])},
            "/inputs/0/shape must be [n, 1] or [n]",
        ),
    ],
)
def test_infer_is_refused_when_the_document_is_wrong(server, document, text):
    check_error(infer(server, document), 400, BAD + text)


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        (b'"name"', b'"name": "x", "name"', "/inputs/0/name"),
        (b'"inputs"', b'"inputs": [], "inputs"', "/inputs"),
        (b'"data"', b'"d\\u0061ta": [], "data"', "/inputs/0/data"),
    ],
)
def test_infer_is_refused_when_a_field_is_there_twice(server, old, new, pointer):
    body = json.dumps({"inputs": [TENSOR]}).encode().replace(old, new, 1)
    text = f"{BAD}{pointer} field is there more than once; keep one"
    check_error(infer(server, body), 400, text)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 9999, b'{"a": "\\ud800"}'])
def test_infer_is_refused_when_it_is_not_json(server, body):
    check_error(infer(server, body), 400)


def test_infer_is_refused_when_it_is_too_long_or_not_json(server):
    body = json.dumps({"inputs": [TENSOR]}).encode()
    check_error(infer(server, body.ljust(256 * 1024 + 1)), 413)
    assert infer(server, body.ljust(256 * 1024)).status == 200
    check_error(infer(server, body, {**JSON, "Content-Encoding": "gzip"}), 415)
    check_error(infer(server, body, {"Content-Type": "text/plain"}), 415)
    check_error(infer(server, body, {"Content-Type": "application/octet-stream"}), 415)


@pytest.mark.parametrize("piece", ["{},", "[],"])
def test_infer_is_refused_unread_when_it_is_full_of_brackets(server, piece):
    body = '{"inputs": [{"data": [' + piece * 60_000 + "1]}]}"
    reply = server.send("POST", INFER, body.encode(), JSON)
    check_error(reply, 400)
    assert "too much to look into" in reply.json["error"]


def test_infer_names_a_few_places_when_all_are_wrong(server):
    tensor = {**TENSOR, "shape": [1000, 4], "data": ["x"] * 4000}
    reply = infer(server, {"inputs": [tensor]})
    check_error(reply, 400)
    assert reply.json["error"].endswith("; 3980 more")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/other/infer",
        f"{MODEL}/versions/9.9.9",
        f"{MODEL}/versions/9.9.9/infer",
        f"{MODEL}/versions/9.9.9/ready",
        f"/v2/models/{CANARY}/ready",
    ],
)
def test_model_is_refused_when_another_is_asked_for(server, path):
    text = f"the one model here is iris_model, its one version {VERSION}; see /docs"
    for method in ("GET", "POST"):
        reply = server.send(method, path, b"", JSON)
        check_error(reply, 404, f"{text} for the paths")


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/health", "/v2/repository/index"])
def test_path_is_refused_in_the_protocol_when_it_leads_nowhere(server, path):
    check_error(server.send("GET", path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", INFER, "OPTIONS, POST"),
        ("DELETE", MODEL, "GET, HEAD, OPTIONS"),
        ("POST", "/v2", "GET, HEAD, OPTIONS"),
    ],
)
def test_method_is_refused_in_the_protocol_when_a_path_does_not_take_it(
    server, method, path, allow
):
    reply = server.send(method, path)
    check_error(reply, 405)
    assert reply.headers["Allow"] == allow
    options = server.send("OPTIONS", path)
    assert (options.status, options.headers["Allow"]) == (204, allow)


def binary_request(size=64, length=None, tail=b"", **change):
    """Return body and headers of a request whose values follow the JSON."""
    parameters = {"binary_data_size": size}
    tensor = {k: v for k, v in TENSOR.items() if k != "data"}
    tensor = {**tensor, "parameters": parameters, **change}
    head = json.dumps({"inputs": [tensor]}).encode()
    length = str(len(head)) if length is None else length
    headers = {"Inference-Header-Content-Length": length}
    return head + np.array(VALUES).tobytes() + tail, headers


def test_infer_takes_binary_values_when_they_follow_the_json(server):
    body, headers = binary_request()
    whole = infer(server, {"inputs": [TENSOR]}).json
    assert infer(server, body, headers).json == whole
    kind = {"Content-Type": "application/octet-stream"}
    assert infer(server, body, {**headers, **kind}).json == whole


@pytest.mark.parametrize(
    "change",
    [
        {"size": 63},
        {"size": 72},
        {"size": 64.0},
        {"size": True},
        {"size": "64"},
        {"size": None, "shape": [2, 4]},
        {"tail": b"x"},
        {"length": ""},
        {"length": "-1"},
        {"length": "+5"},
        {"length": "0"},
        {"length": "9999"},
        {"length": "9" * 50},
        {"length": "\u00b2"},
        {"datatype": "FP32"},
        {"shape": [3, 4], "size": 96},
        {"data": VALUES},
    ],
)
def test_infer_is_refused_when_binary_values_are_not_as_announced(server, change):
    body, headers = binary_request(**change)
    check_error(infer(server, body, headers), 400)


def test_infer_is_refused_when_a_binary_value_is_not_finite(server):
    body, headers = binary_request()
    body = body[:-8] + np.array([np.nan]).tobytes()
    text = f"{BAD}/inputs/0/data/7 must be a finite number"
    check_error(infer(server, body, headers), 400, text)


def test_protocol_is_found_broken_when_a_document_is_not_of_it():
    with pytest.raises(jsonschema.ValidationError):
        protocol.check_document({"outputs": [{"name": "label"}]}, protocol.RESPONSE)
    with pytest.raises(jsonschema.ValidationError):
        protocol.check_document({"detail": "x"}, protocol.ERROR)


@pytest.mark.slow
def test_infer_is_refused_with_503_when_the_record_cannot_be_written():
    with start_server(IRIS_API_RECORDS="/dev/full") as server:
        reply = infer(server, {"inputs": [TENSOR]})
        check_error(reply, 503)
        assert reply.headers["Retry-After"] == "5"


def wine(port, rows):
    """Ask the wine model for rows."""
    shape = [len(rows), len(NAMES)]
    tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": rows}
    body = json.dumps({"inputs": [tensor]}).encode()
    return send(port, "POST", "/v2/models/wine_model/infer", body, JSON)


def test_other_model_names_the_row_when_it_has_no_answer(tmp_path):
    fine, extreme = [1.0] * 13, [1e308] * 13
    with serve_model(WineModel(), tmp_path / "r.jsonl") as port:
        assert outputs_of(wine(port, [fine]))["label"]["data"] == ["barolo"]
        text = f"{BAD}row 1: the model has no answer for values this extreme"
        check_error(wine(port, [fine, extreme]), 400, text)


def test_answer_gives_nothing_away_in_the_protocol_when_a_model_fails(tmp_path):
    with serve_model(BrokenModel(), tmp_path / "r.jsonl") as port:
        for path in ("/v2/health/ready", "/v2/models/wine_model/ready"):
            check_error(send(port, "GET", path), 503)
        reply = wine(port, [[2.0] * 13])
        check_error(reply, 500)
        assert "secret" not in reply.json["error"]
