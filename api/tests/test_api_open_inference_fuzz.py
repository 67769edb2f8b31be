"""Whatever tensors arrive: no 5xx, nothing coerced, nothing echoed but the id."""

import http.client
import json
import math

import numpy as np
import pytest
from api_server import JSON, ROW
from hypothesis import given
from hypothesis import strategies as st
from test_api_fuzz import CANARY, effort, scalars

PATH = "/v2/models/iris_model/infer"
DATATYPES = ["FP64", "FP32", "INT8", "UINT64", "BYTES", "BOOL", CANARY]

values = (
    scalars | st.lists(scalars, max_size=5) | st.integers(-300, 300) | st.floats(0, 9)
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*ROW, "features"]) | scalars,
        "shape": st.sampled_from([[1, 4], [2, 4], [4], [1, 1]])
        | st.lists(st.integers(-2, 10), max_size=3)
        | scalars,
        "datatype": st.sampled_from(DATATYPES) | scalars,
        "data": st.lists(values, min_size=4, max_size=8) | values,
    },
    optional={
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "content_type"]), values
        ),
    },
)
whole = st.fixed_dictionaries(
    {
        "name": st.just("features"),
        "shape": st.just([1, 4]),
        "datatype": st.sampled_from(["FP64", "FP32", "INT8", "UINT64"]),
        "data": st.lists(st.integers(-300, 300) | st.floats(0, 9), min_size=4)
        | st.lists(st.integers(0, 9), min_size=4, max_size=4),
    }
)
documents = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=4) | st.tuples(whole) | values},
    optional={
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["label", CANARY])})
        ),
        "parameters": st.dictionaries(st.text(max_size=4), values) | values,
    },
)
lengths = st.integers(-5, 600).map(str) | st.sampled_from(["", "x", "9" * 20, "1.0"])


@pytest.fixture(scope="module")
def connection(server):
    """One kept-alive connection, so that a confused server would be noticed."""
    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield opened
    opened.close()


def check_answer(connection, body, headers):
    """Assert what holds for the answer to any body; return it when it is good."""
    connection.request("POST", PATH, body, headers)
    response = connection.getresponse()
    answer = response.read()
    assert CANARY.encode() not in answer
    if response.status == 200:
        return answer
    assert response.status in (400, 415)
    assert response.headers["Content-Type"] == "application/json"
    assert len(answer) <= 4096
    assert list(json.loads(answer)) == ["error"]
    return None


@effort
@given(document=documents)
@pytest.mark.slow
def test_answer_is_an_error_or_right_when_tensors_are_random(connection, document):
    answer = check_answer(connection, json.dumps(document).encode(), JSON)
    if answer is not None:
        for tensor in document["inputs"]:
            flat = np.ravel(tensor["data"]).tolist()
            assert {type(value) for value in flat} <= {int, float}
            assert all(map(math.isfinite, flat))
            assert math.prod(tensor["shape"]) == len(flat)


@effort
@given(tail=st.binary(max_size=70), size=st.integers(0, 70), length=lengths)
def test_answer_is_an_error_or_right_when_binary_is_random(
    connection, tail, size, length
):
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64"}
    document = {"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]}
    body = json.dumps(document).encode() + tail
    headers = {"Inference-Header-Content-Length": length}
    answer = check_answer(connection, body, headers)
    assert answer is None or (len(tail) == size == 64)
