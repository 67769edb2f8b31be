"""Whatever bytes arrive: no 5xx, nothing coerced, nothing echoed."""

import http.client
import json

import pytest
from api_server import JSON, ROW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GOOD = json.dumps({"inputs": [ROW]}).encode()
CANARY = "canary_7f3a"

keys = st.sampled_from([*ROW, "inputs"]) | st.text(max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([CANARY, "5.1", "true", "\ud800", "\x00"])
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
rows = st.fixed_dictionaries({name: documents for name in ROW}) | documents
requests = st.fixed_dictionaries({"inputs": st.lists(rows, max_size=3)}) | documents

effort = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def connection(server):
    """One kept-alive connection, so that a confused server would be noticed."""
    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield opened
    opened.close()


def check_answer(connection, body):
    """Assert what holds for the answer to any body."""
    connection.request("POST", "/v1/predict", body, JSON)
    response = connection.getresponse()
    answer = response.read()
    assert CANARY.encode() not in answer
    if response.status == 200:
        for row in json.loads(body)["inputs"]:
            assert row.keys() == ROW.keys()
            assert {type(value) for value in row.values()} <= {int, float}
        return
    assert response.status in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(answer) <= 4096
    assert json.loads(answer)["status"] == response.status


@effort
@given(document=requests)
def test_answer_is_a_problem_or_right_when_json_is_random(connection, document):
    check_answer(connection, json.dumps(document).encode())


@effort
@given(
    place=st.integers(0, len(GOOD) - 1),
    new=st.binary(max_size=3),
    cut=st.integers(0, 3),
)
def test_answer_is_a_problem_or_right_when_bytes_are_changed(
    connection, place, new, cut
):
    check_answer(connection, GOOD[:place] + new + GOOD[place + cut :])


@effort
@given(body=st.binary(max_size=60))
def test_answer_is_a_problem_when_bytes_are_random(connection, body):
    check_answer(connection, body)
